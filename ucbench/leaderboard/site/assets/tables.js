// Tables with sorting, filters and pages. The rows of a short table are in the document; those of a long table are JSON,
// and the document holds only the first of them. Texts are always set as text, never as markup.
"use strict";

(() => {
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  class Table {
    constructor(element) {
      this.element = element;
      this.body = element.tBodies[0];
      this.shared = JSON.parse(element.dataset.shared);
      this.columns = [...element.tHead.rows[0].cells].map((head) => ({
        head,
        key: head.dataset.key,
        numeric: "numeric" in head.dataset,
        header: "header" in head.dataset,
        hidden: "optional" in head.dataset,
        title: head.textContent.trim(),
      }));
      this.status = document.getElementById(`${element.id}-count`);
      const data = document.getElementById(`${element.id}-data`);
      this.rows = data ? this.read(data) : [...this.body.rows].map((row) => this.take(row));
      this.kept = this.rows;
      this.at = 0;
      this.columns.forEach((column, place) => this.makeSortable(column, place));
      if (data) {
        this.page = Number(data.dataset.page);
        this.pager = this.makePager();
      }
      if (data || this.columns.some((column) => column.hidden)) this.show();
    }

    // Titles and texts of what the reader sees, over all pages of the table.
    seen() {
      const places = this.columns.flatMap((column, place) => (column.hidden ? [] : [place]));
      return [
        places.map((place) => this.columns[place].title),
        ...this.inOrder().map((row) => places.map((place) => row.texts[place])),
      ];
    }

    // A row of the document: sort values, words to search, and the element.
    take(row) {
      const values = [...row.cells].map((cell, place) => {
        if (!this.columns[place].numeric) return cell.dataset.text;
        return cell.dataset.value === "" ? null : Number(cell.dataset.value);
      });
      return {
        values,
        // Only downloads need it, and reading it lays out the page.
        get texts() {
          return [...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim());
        },
        words: row.textContent.toLowerCase(),
        element: () => row,
      };
    }

    // Rows of JSON: kind, then cells as text or as { t: text, v: value, n: seeds, h: link, s: said, b: badges }.
    read(data) {
      const root = data.dataset.root;
      return JSON.parse(data.textContent).rows.map(([kind, cells]) => {
        const full = cells.map((cell) => (typeof cell === "string" ? { t: cell } : cell));
        let element = null;
        return {
          values: full.map((cell, place) => (this.columns[place].numeric ? cell.v ?? null : cell.t)),
          texts: full.map((cell) => [cell.t, ...(cell.n === undefined ? [] : [`n = ${cell.n}`]), ...(cell.b ?? [])].join(" ")),
          words: full.map((cell) => [cell.t, ...(cell.b ?? [])].join(" ")).join(" ").toLowerCase(),
          element: () => (element ??= this.make(kind, full, root)),
        };
      });
    }

    make(kind, cells, root) {
      const row = document.createElement("tr");
      if (kind) row.className = kind;
      cells.forEach((cell, place) => {
        const column = this.columns[place];
        const box = row.appendChild(document.createElement(column.header ? "th" : "td"));
        if (column.header) box.scope = "row";
        if (column.numeric) box.className = "number";
        const place_ = cell.h ? box.appendChild(document.createElement("a")) : box;
        if (cell.h) place_.href = root + cell.h;
        place_.append(cell.t);
        if (cell.s) place_.append(made("span", "hidden", ` ${cell.s}`));
        if (cell.n !== undefined) box.append(" ", made("small", "", `n\u00a0=\u00a0${cell.n}`));
        for (const badge of cell.b ?? []) box.append(" ", made("span", `badge ${badge.split(" ").pop()}`, badge));
      });
      return row;
    }

    makeSortable(column, place) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...column.head.childNodes);
      column.head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        const now = next[column.head.getAttribute("aria-sort") ?? "none"];
        for (const other of this.columns) other.head.removeAttribute("aria-sort");
        if (now !== "none") column.head.setAttribute("aria-sort", now);
        this.sorted = now === "none" ? null : { place, sign: now === "ascending" ? 1 : -1 };
        this.at = 0;
        this.show();
      });
    }

    makePager() {
      const pager = document.createElement("div");
      pager.className = "pager";
      const turn = (text, step) => {
        const button = made("button", "", text);
        button.type = "button";
        button.addEventListener("click", () => {
          this.at += step * this.page;
          this.show();
        });
        return pager.appendChild(button);
      };
      this.back = turn("Previous rows", -1);
      this.on = turn("Next rows", 1);
      this.status.after(pager);
      return pager;
    }

    // Missing values come last in either direction.
    inOrder() {
      if (!this.sorted) return this.kept;
      const { place, sign } = this.sorted;
      const numeric = this.columns[place].numeric;
      return [...this.kept].sort((one, other) => {
        const [a, b] = [one.values[place], other.values[place]];
        const missing = (value) => value === null || value === "";
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        return sign * (numeric ? a - b : order.compare(a, b));
      });
    }

    // `wanted` maps column keys to texts; keys of columns that this table lacks match every row.
    filter(wanted, words) {
      const tests = [...wanted].map(([key, text]) => {
        const place = this.columns.findIndex((column) => column.key === key);
        // A blank fits any value: references stand beside poisoners of any label knowledge.
        if (place >= 0) return (row) => row.values[place] === text || row.values[place] === "";
        return () => !(key in this.shared) || this.shared[key] === text;
      });
      this.kept = this.rows.filter((row) => tests.every((test) => test(row)) && words.every((w) => row.words.includes(w)));
      this.at = 0;
      this.show();
    }

    show() {
      const rows = this.inOrder();
      const shown = this.pager ? rows.slice(this.at, this.at + this.page) : rows;
      const elements = shown.map((row) => row.element());
      for (const row of [this.element.tHead.rows[0], ...elements]) {
        this.columns.forEach((column, place) => (row.cells[place].hidden = column.hidden));
      }
      this.body.replaceChildren(...elements);
      const all = this.rows.length;
      let text = rows.length < all ? `${rows.length} of ${all} rows` : "";
      if (this.pager) {
        const last = this.at + shown.length;
        text = `Rows ${Math.min(this.at + 1, last)} to ${last} of ${rows.length}${rows.length < all ? ` (${all} unfiltered)` : ""}`;
        this.back.disabled = this.at === 0;
        this.on.disabled = last >= rows.length;
      }
      this.status.textContent = text;
    }
  }

  function made(tag, kind, text) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.textContent = text;
    return element;
  }

  const tables = new Map([...document.querySelectorAll("table[data-shared]")].map((each) => [each.id, new Table(each)]));

  // Filters; their state is in the address after "#", so that links can lead to a filtered table.
  for (const form of document.querySelectorAll("form.filters[data-for]")) {
    const table = tables.get(form.dataset.for);
    const controls = [...form.elements].filter((each) => each.name);
    const sections = [...document.querySelectorAll("section[data-axes]")].map((each) => [each, JSON.parse(each.dataset.axes)]);

    const apply = () => {
      const set = controls.filter((each) => each.value !== "");
      const wanted = set.filter((each) => each.name !== "q").map((each) => [each.name, each.value]);
      const words = set.filter((each) => each.name === "q").flatMap((each) => each.value.toLowerCase().split(/\s+/));
      if (table) table.filter(wanted, words.filter(Boolean));
      for (const [section, axes] of sections) {
        section.hidden = wanted.some(([key, text]) => key in axes && axes[key] !== text);
        const access = wanted.find(([key]) => key === "label_access");
        for (const part of section.querySelectorAll("tbody[data-access]")) {
          part.hidden = Boolean(access) && part.dataset.access !== "" && part.dataset.access !== access[1];
        }
      }
      const empty = document.querySelector(".empty");
      if (empty && table) empty.hidden = table.kept.length > 0;
      return new URLSearchParams(set.map((each) => [each.name, each.value])).toString();
    };
    const remember = () => history.replaceState(null, "", `#${apply()}`);
    const choose = (asked) => {
      for (const control of controls) {
        const value = asked[control.name] ?? "";
        const known = control.tagName !== "SELECT" || [...control.options].some((option) => option.value === value);
        control.value = known ? value : "";
      }
      apply();
    };
    const recall = () => choose(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
    form.addEventListener("input", remember);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(remember));
    window.addEventListener("hashchange", recall);
    form.hidden = false;
    if (location.hash.includes("=")) recall();
    else if (form.dataset.first) choose(JSON.parse(form.dataset.first));
  }

  // The search of the first page: hides cards and methods without the words.
  for (const input of document.querySelectorAll("#search")) {
    const items = [...document.querySelectorAll("[data-search]")].map((each) => [each, each.textContent.toLowerCase()]);
    const search = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const [item, text] of items) item.hidden = !words.every((word) => text.includes(word));
      document.querySelector(".empty").hidden = items.some(([item]) => !item.hidden);
    };
    input.form.addEventListener("submit", (event) => event.preventDefault());
    input.addEventListener("input", search);
    input.form.hidden = false;
    search();
  }

  // Downloads of what is shown.
  const formats = {
    // No spreadsheet may run a text as a formula.
    CSV: (rows) => rows.map((row) => row.map((text) => {
      const inert = /^[=+\-@\t\r](?![\d.]+( |$))/.test(text) ? `'${text}` : text;
      return /[",\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
    }).join(",")).join("\n") + "\n",
    LaTeX: ([head, ...rows]) => {
      const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "–": "--" };
      const escaped = (text) => text.replace(/[\\~^±–]|[&%$#_{}]/g, (one) => special[one] ?? `\\${one}`);
      const line = (row) => `${row.map(escaped).join(" & ")} \\\\`;
      const body = rows.map(line).join("\n");
      return `% needs booktabs\n\\begin{tabular}{${"l".repeat(head.length)}}\n\\toprule\n${line(head)}\n\\midrule\n${body}\n\\bottomrule\n\\end{tabular}\n`;
    },
  };
  const endings = { CSV: "csv", LaTeX: "tex", BibTeX: "bib" };

  const save = (name, text) => {
    const link = made("a", "", "");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const bibliography = JSON.parse(document.getElementById("bibliography")?.textContent ?? "{}");
  // Entries of the methods in these rows; methods may share one.
  const cited = (table) => {
    const keys = table.columns.flatMap((each, place) => (/poisoner|defense/.test(each.key) ? [place] : []));
    const names = new Set([...Object.values(table.shared), ...table.kept.flatMap((row) => keys.map((place) => row.values[place]))]
      .flatMap((text) => String(text ?? "").split("+")).map((text) => text.split(/[:@ ]/)[0]));
    const entries = [...names].filter((name) => Object.hasOwn(bibliography, name)).sort().flatMap((name) => bibliography[name]);
    return `${[...new Set(entries)].join("\n\n")}\n`;
  };

  for (const box of document.querySelectorAll(".tools[data-for]")) {
    const table = tables.get(box.dataset.for);
    const chooser = document.createElement("details");
    chooser.append(made("summary", "", "Columns"));
    const list = chooser.appendChild(made("div", "choices", ""));
    for (const column of table.columns) {
      const label = document.createElement("label");
      const check = document.createElement("input");
      check.type = "checkbox";
      check.checked = !column.hidden;
      check.addEventListener("change", () => {
        column.hidden = !check.checked;
        table.show();
      });
      label.append(check, ` ${column.title}`);
      list.append(label);
    }
    box.append(chooser, made("span", "note", "Download what is shown:"));
    for (const name of ["CSV", "LaTeX", ...(Object.keys(bibliography).length ? ["BibTeX"] : [])]) {
      const button = made("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => {
        save(`${box.dataset.name}.${endings[name]}`, name === "BibTeX" ? cited(table) : formats[name](table.seen()));
      });
      box.append(button);
    }
    box.hidden = false;
  }

  for (const button of document.querySelectorAll("button.copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
})();
