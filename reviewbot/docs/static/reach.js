"use strict";
/* What the theme leaves out for the keyboard and for screen readers. */
document.addEventListener("DOMContentLoaded", function () {
  document.querySelectorAll(".highlight pre").forEach(function (code) { code.tabIndex = 0; }); // it can be scrolled
  document.querySelectorAll(".caption[role=heading]").forEach(function (title) { title.setAttribute("aria-level", "2"); });
  document.querySelectorAll(".sidebar-drawer").forEach(function (aside) { aside.setAttribute("aria-label", "All pages"); });
  document.querySelectorAll(".toc-drawer").forEach(function (aside) { aside.setAttribute("aria-label", "This page"); });
});
