// Comfort only: every page works without this file.
"use strict";

// "/" goes to the search box.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  const box = document.querySelector("[data-search]");
  if (event.key === "/" && box && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});

// Times get the reader's own clock as their title.
const localTimes = (root) => {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.valueOf())) time.title = when.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  }
};

// A form with data-live shows its results as one types or chooses.
const live = (form) => {
  const results = document.getElementById(form.dataset.live);
  let waiting = 0;
  let asked = null;
  const ask = async () => {
    const fields = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const url = `${form.getAttribute("action")}?${fields}`;
    asked?.abort();
    asked = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: asked.signal, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(results.id);
      if (!answer.ok || !fresh) {
        form.submit();
        return;
      }
      results.replaceChildren(...fresh.childNodes);
      localTimes(results);
      history.replaceState(null, "", url);
      results.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name !== "AbortError") form.submit();
    }
  };
  const soon = (delay) => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, delay);
  };
  form.addEventListener("input", (event) => soon(event.target.matches("input[type=search]") ? 250 : 0));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    soon(0);
  });
};

localTimes(document);
document.querySelectorAll("form[data-live]").forEach(live);
