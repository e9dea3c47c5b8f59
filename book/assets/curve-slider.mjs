// The book's picture with a slider under it: a range that chooses among stored curves. One file is both the custom
// element <curve-slider> of the pages and the widget of Jupyter. initnotes/book/sliders.py drew the picture that stands
// in the element, at its first position, and stored the places of all others in tenths of pixels: only paths and words
// change here. There is no live region: the range says its value and the readings.

/** A path from places in tenths of pixels: a line, or the area between two; it stops at gaps. As `drawn` in Python. */
function drawn(x, edges) {
  const runs = [[]];
  x.forEach((_, at) => (edges.some((edge) => edge[at] === null) ? runs.push([]) : runs.at(-1).push(at)));
  return runs.filter((run) => run.length).map((run) => {
    const [line, other] = edges.map((edge) => run.map((at) => `${x[at] / 10} ${edge[at] / 10}`));
    if (other) return `M${[...line, ...other.reverse()].join("L")}z`;
    return `M${line.join("L")}${run.length === 1 ? "h0" : ""}`;
  }).join("");
}

function sliderElement() {
  class CurveSlider extends HTMLElement {
    connectedCallback() {
      if (this.range) return;
      this.data = JSON.parse(this.dataset.slider);
      const { values, start } = this.data, ends = [values[0], values.at(-1)].map((words) => {
        const end = document.createElement("small");
        end.innerHTML = words; // escaped where it was written
        end.ariaHidden = "true";
        return end;
      });
      this.range = document.createElement("input");
      Object.assign(this.range, { type: "range", min: 0, max: values.length - 1, step: 1, value: start });
      this.range.setAttribute("aria-label", this.querySelector(".label").textContent);
      this.range.addEventListener("input", () => this.show(+this.range.value));
      this.querySelector(".track").replaceChildren(ends[0], this.range, ends[1]);
      this.show(start);
    }

    /** Show a position. */
    show(position) {
      if (position === this.position) return;
      const { values, said, x, paths } = this.data, words = [values, ...said].map((texts) => texts[position]);
      this.position = position;
      this.range.value = position;
      this.querySelectorAll("[data-moves]").forEach((path, k) => path.setAttribute("d", drawn(x, paths[k][position])));
      const places = [...this.querySelectorAll("[data-longest] > span")];
      places.forEach((place, k) => (place.innerHTML = words[k]));
      this.range.setAttribute("aria-valuetext", places.map((place, k) => {
        const name = k ? place.closest("p").firstChild.textContent : ""; // "slope: " before what is read
        return name + place.textContent;
      }).join("; "));
      this.dispatchEvent(new CustomEvent("curve-slider-change", { bubbles: true, detail: { position } }));
    }
  }
  customElements.define("curve-slider", CurveSlider);
}

if (typeof document !== "undefined" && !customElements.get("curve-slider")) sliderElement();

// ---------------------------------------------------------------------------------------- the widget, in Jupyter

function render({ model, el }) {
  el.innerHTML = model.get("html");
  const slider = el.querySelector("curve-slider"), pull = () => slider.show(model.get("position"));
  if (!slider.range) slider.connectedCallback(); // where `el` is not on the page yet
  slider.range.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
  pull();
  model.on("change:position", pull);
  slider.addEventListener("curve-slider-change", ({ detail }) => {
    model.set("position", detail.position);
    model.save_changes();
  });
  return () => model.off("change:position", pull);
}

export default { render };
export { drawn };
