"use strict";
// Adds to the tables what needs a script: headings that sort, and filters.
{
  const number = (key) => Number.parseFloat(key);
  const missing = (key) => key === "" || key === "-" || key === "n/a";

  // What is moved and hidden as one: a line, or a table body of a line and its details.
  const entries = (table) =>
    table.classList.contains("measured") ? [...table.tBodies] : [...table.tBodies[0].rows];
  const line = (entry) => entry.rows?.[0] ?? entry;

  const sort = (table, heading) => {
    const place = heading.cellIndex;
    const before = heading.getAttribute("aria-sort");
    const descending = before
      ? before === "ascending"
      : heading.dataset.first === "descending";
    const keyed = entries(table).map((entry) => {
      const cell = line(entry).cells[place];
      return [entry, cell.dataset.value ?? cell.textContent.trim()];
    });
    const known = keyed.filter(([, key]) => !missing(key));
    const numeric = known.every(([, key]) => Number.isFinite(number(key)));
    const compare = numeric
      ? (one, other) => number(one) - number(other)
      : (one, other) => one.localeCompare(other, undefined, { numeric: true });
    known.sort(([, one], [, other]) => (descending ? -1 : 1) * compare(one, other));
    const unknown = keyed.filter(([, key]) => missing(key));
    for (const [entry] of [...known, ...unknown]) {
      entry.parentNode.append(entry);
    }
    for (const other of table.tHead.rows[0].cells) {
      other.removeAttribute("aria-sort");
    }
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("main table.wide")) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, heading));
    }
  }

  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const counted = (kind, visible, all) => `${visible} of ${all} ${kind} rows`;

  // Whether a heading of differences or deviations names a method, alone or with its settings.
  const names = (heading, method) =>
    heading.textContent
      .split(" less ")
      .some((side) => side === method || side.startsWith(`${method} (`));

  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const counts = { measured: [0, 0], reported: [0, 0] };
    for (const track of document.querySelectorAll("section.track")) {
      let filled = false;
      for (const place of track.querySelectorAll("section.place")) {
        // A table of reported numbers alone is of no preset: it stands beside all.
        const fits = ["track", "dataset", "preset"].every(
          (kind) => !wanted[kind] || !place.dataset[kind] || place.dataset[kind] === wanted[kind],
        );
        let some = false;
        for (const part of place.querySelectorAll("[data-part]")) {
          let visible = 0;
          const lines = entries(part.querySelector("table"));
          for (const entry of lines) {
            const method = entry.dataset.method ?? line(entry).cells[0].textContent;
            entry.hidden = !fits || (wanted.method !== "" && method !== wanted.method);
            visible += entry.hidden ? 0 : 1;
          }
          part.hidden = visible === 0;
          some ||= visible > 0;
          const count = counts[part.dataset.part];
          if (count) {
            count[0] += visible;
            count[1] += lines.length;
          }
        }
        for (const beside of place.querySelectorAll("[data-beside]")) {
          const headings = [...beside.querySelectorAll("th")];
          beside.hidden =
            wanted.method !== "" && !headings.some((one) => names(one, wanted.method));
        }
        place.hidden = !some;
        filled ||= some;
      }
      track.hidden = !filled;
    }
    const { measured, reported } = counts;
    shown.textContent =
      `${counted("measured", ...measured)} and ${counted("reported", ...reported)} are shown.` +
      (measured[0] + reported[0] ? "" : " Nothing fits these filters together.");
  };

  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  filter();
}
