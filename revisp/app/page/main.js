// Tabs by mouse, touch and arrow keys; then both tabs begin.

import { startPairs } from "/page/pairs.js";
import { startPhotos } from "/page/photos.js";
import { say } from "/page/progress.js";

const tabs = [...document.querySelectorAll('[role="tab"]')];

function show(chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
}

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
});

startPairs();
startPhotos().catch((error) => say("photo-error", error.message));
