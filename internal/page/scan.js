(function () {
  "use strict";
  var main = document.getElementById("scan");
  var text = document.getElementById("text");
  var over = false;
  function end(words) {
    over = true;
    text.textContent = words;
    document.getElementById("code").hidden = true;
    document.getElementById("again").hidden = false;
  }
  function later() {
    if (!over) setTimeout(ask, 1500);
  }
  function ask() {
    fetch(main.dataset.state, { method: "POST", credentials: "same-origin", cache: "no-store" }).then(function (answer) {
      if (answer.status === 429 || answer.status >= 500) return later();
      if (answer.status === 410) return end(main.dataset.expired);
      if (!answer.ok) return end(main.dataset.failed);
      return answer.json().then(function (said) {
        if (said.state === "done") {
          over = true;
          location.replace(said.to);
        } else if (said.state === "denied" || said.state === "expired") {
          end(main.dataset[said.state]);
        } else {
          if (said.state === "seen") text.textContent = main.dataset.seen;
          later();
        }
      });
    }).catch(later);
  }
  document.getElementById("picture").addEventListener("error", function () {
    if (!over) end(main.dataset.failed);
  });
  later();
})();
