// JupyterLab has no bibliography: jupyterlab-myst marks each citation as not found. The last cell of a chapter, which
// tools/elsewhere.py writes, says whom a key stands for; this puts the name in the place of the mark. It is an extension as
// JupyterLab loads it, written by hand: `make lab` names its folder, and nothing has to be built.

(() => {
  const LOST = '.jp-Notebook [title$=" Not Found"]';

  /** What the cells of the notebook that holds `mark` say of `key`: a name, and what follows it. */
  function entry(app, mark, key) {
    const panel = [...app.shell.widgets("main")].find((widget) => widget.node.contains(mark));
    const cells = panel?.content?.model?.sharedModel?.cells ?? [];
    const start = `(${key})=\n`;
    for (const cell of [...cells].reverse()) {
      const at = `\n${cell.source}`.indexOf(`\n${start}`);
      if (at >= 0) return cell.source.slice(at + start.length).split("\n", 2);
    }
    return [];
  }

  /** Changes words and attributes only: the elements belong to React. */
  function mend(app, mark) {
    const text = [...mark.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const [name, told] = text ? entry(app, mark, text.data.trim()) : [];
    if (!name) return;
    text.data = name.replace(/^#+ |[$`]/g, ""); // of a place in this notebook, its heading, until its cell is shown
    mark.title = (told ?? "").replace(/^: |[*<>]/g, "");
    mark.removeAttribute("class");
    mark.querySelector("svg")?.setAttribute("hidden", "");
    mark.querySelector("svg")?.setAttribute("style", "display: none");
  }

  const plugin = {
    id: "citations:names",
    autoStart: true,
    activate(app) {
      const look = () => {
        for (const mark of document.querySelectorAll(LOST)) mend(app, mark);
      };
      new MutationObserver(look).observe(document.body, { childList: true, subtree: true }); // before anybody sees it
    },
  };

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB.citations = { init() {}, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
