"""Forms as browsers send them, and the proof that one comes from a page of ours."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from memrouter.api.body import BodyStream, read_body
from memrouter.errors import Forbidden, InvalidRequest
from memrouter.inspector.visit import Visit

MAX_FORM_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 64

_WITH_FILE: Final = "multipart/form-data"


async def read_form(visit: Visit, upload_bytes: int) -> None:
    """Note the fields of a form in the visit, and a file where the page takes one.

    Args:
        visit: Its body must not have been read yet.
        upload_bytes: Largest form with a file; 0 where the page takes none.

    Raises:
        Forbidden: The form was not made by a page of this session.
        InvalidRequest: It is no form.
        BodyTooLarge: It is over the limit.
    """
    if upload_bytes and visit.request.headers.get("content-type", "").startswith(_WITH_FILE):
        sent = await _with_file(visit, upload_bytes)
        visit.upload = next((value for value in sent.values() if isinstance(value, UploadFile)), None)
        fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    else:
        fields = _fields(await read_body(visit.request, MAX_FORM_BYTES))
    if not visit.session.proves(fields.pop("csrf", "")):
        raise Forbidden("this form is no longer valid; go back, reload the page and send it again", code="form_expired")
    visit.form = fields


async def _with_file(visit: Visit, limit: int) -> FormData:
    pieces = (piece async for piece in BodyStream(visit.request, limit))
    parser = MultiPartParser(visit.request.headers, pieces, max_files=1, max_fields=MAX_FIELDS)
    try:
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeError):
        raise InvalidRequest("this is not a form with a file") from None


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise InvalidRequest("this is not a form of these pages") from None
