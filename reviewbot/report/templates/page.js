"use strict";
(function () {
  var players = [];
  function Player(finding) {
    var figure = finding.querySelector(".schedule");
    if (!figure) return;
    var rows = Number(figure.dataset.rows);
    var stepper = figure.querySelector(".stepper");
    var says = stepper.querySelector(".now");
    var back = stepper.querySelector(".back"), on = stepper.querySelector(".on"), all = stepper.querySelector(".all");
    var groups = Array.from(figure.querySelectorAll("g[data-row]"));
    var items = Array.from(finding.querySelectorAll("li[data-row]"));
    var lines = Array.from(finding.querySelectorAll(".row[data-at]"));
    var circle = finding.querySelector("p.circle");
    var at = -1; // -1: all of it; rows: the deadlock
    function show(next) {
      at = Math.max(-1, Math.min(rows, next));
      figure.classList.toggle("stepping", at >= 0);
      groups.forEach(function (g) {
        var row = Number(g.dataset.row), first = g.querySelector(".head");
        g.classList.toggle("later", at >= 0 && row > at && !first);
        g.classList.toggle("now", at >= 0 && row === at);
      });
      var item = null;
      items.forEach(function (li) {
        if (Number(li.dataset.row) === at) { li.setAttribute("aria-current", "step"); item = li; } else li.removeAttribute("aria-current");
      });
      lines.forEach(function (line) {
        var here = at >= 0 && line.dataset.at.split(" ").map(Number).indexOf(at) >= 0;
        line.classList.toggle("now", here);
      });
      back.disabled = at < 0;
      on.disabled = at >= rows;
      if (at < 0) says.textContent = "All " + rows + " steps. Step or the arrow keys go through them one by one.";
      else if (at >= rows) says.textContent = circle ? circle.textContent : "";
      else {
        var text = item ? item.firstElementChild.textContent + item.childNodes[1].textContent : "";
        says.textContent = (at + 1) + " of " + rows + ": " + text.trim();
        var source = item ? item.querySelector(".place code") : null;
        if (source) { says.append(document.createElement("br"), source.cloneNode(true)); }
      }
    }
    this.finding = finding;
    this.on = function () { if (at < rows) show(at + 1); };
    this.back = function () { if (at >= 0) show(at - 1); };
    on.addEventListener("click", this.on);
    back.addEventListener("click", this.back);
    all.addEventListener("click", function () { show(-1); });
    groups.forEach(function (g) { g.addEventListener("click", function () { show(Number(g.dataset.row)); }); });
    stepper.hidden = false;
    show(-1);
    players.push(this);
  }
  document.querySelectorAll(".finding").forEach(function (finding) { new Player(finding); });
  function current() { // the finding with the focus, else the one that is on the screen
    var inside = document.activeElement ? document.activeElement.closest(".finding") : null;
    var visible = players.filter(function (p) { var r = p.finding.getBoundingClientRect(); return r.bottom > 80 && r.top < innerHeight; });
    return players.find(function (p) { return p.finding === inside; }) || visible[0] || players[0];
  }
  document.addEventListener("keydown", function (event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !players.length) return;
    if (event.target.closest && event.target.closest("input, textarea, select")) return;
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    if (event.key === "ArrowRight") current().on(); else current().back();
  });
})();
