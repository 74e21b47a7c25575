"use strict";
/* Without this script, original and copy stand side by side. With it, one lies on the other, and a slider uncovers it. */
document.documentElement.classList.add("js");
for (const figure of document.querySelectorAll(".compare")) {
  const slider = figure.querySelector("input");
  const show = () => {
    figure.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `original on the left ${slider.value} percent, protected copy on the rest`);
  };
  slider.addEventListener("input", show);
  show();
}
