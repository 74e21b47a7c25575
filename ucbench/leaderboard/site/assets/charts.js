// Draws each chart from its JSON figure, in the colours of the page.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const narrow = window.matchMedia("(max-width: 48rem)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  const themed = (layout) => {
    const [ink, line] = [colour("--ink"), colour("--line")];
    const themed = {
      ...layout,
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 13, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("--raised"), bordercolor: line, font: { color: ink } },
    };
    for (const name of Object.keys(layout)) {
      if (!/^[xy]axis/.test(name)) continue;
      themed[name] = { gridcolor: line, linecolor: line, zerolinecolor: line, ...layout[name], fixedrange: true };
    }
    if (narrow.matches) themed.margin = { ...layout.margin, l: 40, r: 10 };
    return themed;
  };

  const draw = (chart) => {
    const figure = JSON.parse(document.getElementById(`${chart.id}-figure`).textContent);
    if (narrow.matches) {
      for (const trace of figure.data) {
        if (trace.mode === "markers+text") trace.mode = "markers";
        if (trace.colorbar) trace.showscale = false;
      }
    }
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: false,
      showTips: false,
      staticPlot: false,
    };
    if (still.matches) figure.layout.transition = { duration: 0 };
    window.Plotly.react(chart, figure.data, themed(figure.layout), config);
  };

  const charts = [...document.querySelectorAll(".chart")];
  const drawAll = () => charts.forEach(draw);
  if (window.Plotly) {
    drawAll();
    dark.addEventListener("change", drawAll);
    narrow.addEventListener("change", drawAll);
  } else {
    for (const chart of charts) {
      chart.style.minHeight = "0";
      chart.textContent = "The charting library, assets/plotly.min.js, is missing.";
    }
  }
})();
