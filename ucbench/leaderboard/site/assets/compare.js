// Draws the differences of two chosen poisoners, craft by craft. Texts are always set as text, never as markup.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("comparison-data").textContent);
  const form = document.getElementById("pair");
  const target = document.getElementById("comparison");
  if (data.poisoners.length < 2) return;
  const namespace = "http://www.w3.org/2000/svg";

  const made = (tag, text, kind) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const drawn = (tag, attributes) => {
    const element = document.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // Mean difference and the half-width of its 95 % t interval; NaN below three values, as of two it says little.
  const interval = (values) => {
    const centre = mean(values);
    if (values.length < 3) return [centre, NaN];
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
    const quantile = data.quantiles[Math.min(values.length - 1, data.quantiles.length) - 1];
    return [centre, (quantile * spread) / Math.sqrt(values.length)];
  };

  // The mean with its half-width, or with both of two values.
  const text = (centre, half, values) => {
    const fixed = (value) => value.toFixed(1).replace(/^-0\.0$/, "0.0");
    if (values.length === 2) return `${fixed(centre)} (${[...values].sort((a, b) => a - b).map(fixed).join(", ")})`;
    return Number.isNaN(half) ? fixed(centre) : `${fixed(centre)} ± ${half.toFixed(1)}`;
  };

  // A bar of the interval over -100 to 100 points, with zero in the middle.
  const track = (centre, half) => {
    const place = (points) => `${50 + Math.min(Math.max(points, -100), 100) / 2}%`;
    const chart = drawn("svg", { class: "track", width: "100%", height: 26, "aria-hidden": "true" });
    for (const points of [-100, -50, 50, 100]) chart.append(drawn("line", { class: "grid", x1: place(points), x2: place(points), y1: 0, y2: 26 }));
    chart.append(drawn("line", { class: "ref", x1: "50%", x2: "50%", y1: 0, y2: 26 }));
    if (!Number.isNaN(half)) {
      chart.append(drawn("line", { x1: place(centre - half), x2: place(centre + half), y1: 13, y2: 13, stroke: "#056eba", "stroke-width": 2 }));
    }
    chart.append(drawn("circle", { class: "full", cx: place(centre), cy: 13, r: 5, fill: "#056eba" }));
    return chart;
  };

  const show = () => {
    const [one, other] = [form.elements.one.selectedIndex, form.elements.other.selectedIndex];
    const theirs = new Map(data.accuracies[other]);
    const shared = data.accuracies[one].filter(([place]) => theirs.has(place));
    target.replaceChildren();
    const [first, second] = [data.poisoners[one], data.poisoners[other]];
    if (one === other || shared.length === 0) {
      target.append(made("p", one === other ? "Choose two different poisoners." : `${first} and ${second} were never measured in the same place.`, "note"));
      return;
    }
    const counts = { lower: 0, higher: 0, open: 0 };
    const body = document.createElement("tbody");
    for (const [place, crafts] of shared) {
      const beside = theirs.get(place);
      const common = Object.keys(crafts).filter((craft) => craft in beside);
      const [board, setting, link, defense] = data.places[place];
      const row = document.createElement("tr");
      const anchor = made("a", board);
      anchor.href = link;
      const where = document.createElement("th");
      where.scope = "row";
      where.append(anchor, made("span", ` ${setting}`, "note"));
      row.append(where, made("td", defense));
      const cell = made("td", "", "plot");
      if (common.length > 0) {
        const values = common.map((craft) => crafts[craft] - beside[craft]);
        const [centre, half] = interval(values);
        const separate = common.length >= data.enough && Math.abs(centre) > half;
        counts[!separate ? "open" : centre < 0 ? "lower" : "higher"] += 1;
        cell.append(track(centre, half));
        row.append(cell, made("td", `${text(centre, half, values)} (n = ${common.length})`, "number"));
      } else {
        counts.open += 1;
        row.append(cell, made("td", "no common craft", "number"));
      }
      const [a, b] = [mean(Object.values(crafts)), mean(Object.values(beside))];
      row.append(made("td", a.toFixed(1), "number"), made("td", b.toFixed(1), "number"));
      body.append(row);
    }
    const summary = document.createElement("p");
    const links = [one, other].map((place) => {
      const link = made("a", data.poisoners[place]);
      link.href = data.pages[place];
      return link;
    });
    summary.append("In ", made("strong", `${shared.length}`), ` shared ${shared.length === 1 ? "place" : "places"}, attacker accuracy is lower on `,
      links[0], ` in ${counts.lower}, on `, links[1], ` in ${counts.higher}, and not separated in ${counts.open}.`);
    const table = made("table", "", "forest pair");
    table.append(made("caption", `Attacker accuracy on ${first} minus that on ${second}, in points from -100 to 100`));
    const head = document.createElement("tr");
    for (const [title, kind] of [["place", ""], ["defense", ""], [`← ${first} lower | ${second} lower →`, "plot"], ["difference", "number"], [`${first} %`, "number"], [`${second} %`, "number"]]) {
      const cell = made("th", title, kind);
      cell.scope = "col";
      head.append(cell);
    }
    table.append(document.createElement("thead"), body);
    table.tHead.append(head);
    target.append(summary, table);
  };

  const recall = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    [["one", 0], ["other", 1]].forEach(([name, otherwise]) => {
      const place = data.poisoners.indexOf(asked.get(name));
      form.elements[name].selectedIndex = place < 0 ? otherwise : place;
    });
    show();
  };
  for (const select of [form.elements.one, form.elements.other]) {
    for (const name of data.poisoners) select.add(new Option(name, name));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const chosen = new URLSearchParams([["one", form.elements.one.value], ["other", form.elements.other.value]]);
    history.replaceState(null, "", `#${chosen}`);
    show();
  });
  window.addEventListener("hashchange", recall);
  form.hidden = target.hidden = false;
  recall();
})();
