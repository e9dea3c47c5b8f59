// A live figure prints as the picture that it has without JavaScript: its shadow gets a slot that only paper shows.

const STYLE = `@media screen { slot.paper { display: none; } }
@media print { :host > :not(slot.paper, style) { display: none !important; } }`;

function prepare() {
  for (const picture of document.querySelectorAll(":is(init-lab, train-lab) > figure")) {
    const shadow = picture.parentElement.shadowRoot;
    if (!shadow || shadow.querySelector("slot.paper")) continue;
    const style = document.createElement("style"), slot = document.createElement("slot");
    style.textContent = STYLE;
    slot.className = "paper";
    shadow.append(style, slot);
  }
}

for (const name of ["init-lab", "train-lab"]) customElements.whenDefined(name).then(prepare);
addEventListener("beforeprint", prepare); // also those that came or were drawn again since
