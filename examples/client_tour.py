"""A user's memories in a running router, looked at and put right from Python.

python examples/client_tour.py http://127.0.0.1:8888
"""

import sys

from memrouter.client import MemrouterClient

with MemrouterClient(sys.argv[1], user="alice") as client:
    tea = client.add("I drink tea.")
    client.supersede(tea.id, "I drink coffee.")
    for found in client.search("What do I drink?").memories:
        print(f"{found.score:.2f} {found.content}")
    for memory in client.list():
        print(memory.created_at.date(), memory.content)
    print(client.export_to("memories.ndjson"), "memories exported")
