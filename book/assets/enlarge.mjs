// A figure enlarges: a tap, a click or Enter shows it at its own size over the page, Escape or another tap closes it.

const view = document.createElement("dialog");
const pane = document.createElement("div");
let opener = null; // the button of the figure that is shown, which gets the focus back

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.append(text);
  made.addEventListener("click", act);
  return made;
}

const fit = button("Whole figure", () => {
  fit.ariaPressed = String(view.classList.toggle("whole"));
});

function build() {
  view.className = "enlarged";
  view.ariaLabel = "Figure at its own size";
  pane.className = "enlarged-pane";
  pane.tabIndex = 0; // arrow keys scroll it
  pane.autofocus = true;
  pane.setAttribute("role", "group");
  pane.ariaLabel = "Figure, scrolls";
  const bar = document.createElement("div");
  bar.className = "enlarged-bar";
  bar.append(fit, button("Close", () => view.close()));
  view.append(bar, pane);
  pane.addEventListener("click", () => view.close());
  view.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the page's own keys, such as those to the next chapter, rest
    if (event.key === "Escape") view.close(); // not every browser does it by itself
  });
  view.addEventListener("close", () => opener?.focus({ preventScroll: true }));
  document.body.append(view);
}

/** Shows a figure; `x` and `y`, from 0 to 1, say which part of it was meant. */
function enlarge(image, from, x = 0, y = 0) {
  if (!view.isConnected) build();
  opener = from;
  const copy = document.createElement("img"); // not a clone: the page's one may still wait to be loaded
  copy.alt = image.alt;
  copy.width = image.getAttribute("width");
  copy.height = image.getAttribute("height");
  copy.src = image.src;
  pane.replaceChildren(copy);
  view.classList.remove("whole");
  fit.ariaPressed = "false";
  view.showModal();
  fit.hidden = pane.scrollWidth <= pane.clientWidth && pane.scrollHeight <= pane.clientHeight;
  pane.scrollTo(x * pane.scrollWidth - pane.clientWidth / 2, y * pane.scrollHeight - pane.clientHeight / 2);
}

for (const plate of document.querySelectorAll(".bd-article figure .plate")) {
  const image = plate.querySelector("img");
  const open = button("", () => enlarge(image, open));
  open.className = "plate-open";
  open.ariaLabel = `Enlarge: ${image.alt.split(/[.:;]\s/)[0]}`;
  const icon = document.createElement("i");
  icon.className = "fa-solid fa-expand";
  icon.ariaHidden = "true";
  open.append(icon);
  const caption = plate.closest("figure").querySelector("figcaption");
  if (caption) (caption.querySelector("p") ?? caption).prepend(open); // beside its first words
  else plate.after(open);
  plate.classList.add("enlarges");
  image.addEventListener("click", (event) => {
    const { left, top, width, height } = image.getBoundingClientRect();
    enlarge(image, open, (event.clientX - left) / width, (event.clientY - top) / height);
  });
}
