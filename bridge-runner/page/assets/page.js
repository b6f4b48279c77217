// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Requests the page again every two seconds while a user sees it, and replaces the parts of the state
// that have changed, so that the focus and a selection of text stay. Shows when the runner does not
// answer.
"use strict";

(() => {
  const interval = 2000; // between an answer and the next request, in milliseconds
  const timeout = 5000; // of a request, in milliseconds

  const state = document.getElementById("state");
  const change = document.getElementById("change");
  const noAnswer = document.getElementById("no-answer");
  let answered = new Date(); // the time of the latest answer
  let timer = 0;
  let running = false;

  // update makes an element or a text of the page equal to another one.
  function update(old, next) {
    if (old.nodeName !== next.nodeName || old.id !== next.id) {
      old.replaceWith(next);
      return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== next.data) {
        old.data = next.data;
      }
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!next.hasAttribute(name)) {
        old.removeAttribute(name);
      }
    }
    for (const { name, value } of next.attributes) {
      if (old.getAttribute(name) !== value) {
        old.setAttribute(name, value);
      }
    }
    updateChildren(old, next);
  }

  // updateChildren matches the children that have an identifier by it, and the others by their place.
  function updateChildren(old, next) {
    const byID = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    const wanted = new Set([...next.children].map((child) => child.id));
    for (const [id, child] of byID) {
      if (!wanted.has(id)) {
        child.remove();
      }
    }
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      const match = child.id ? byID.get(child.id) : at;
      if (!match) {
        old.insertBefore(child, at);
        continue;
      }
      if (match === at) {
        at = at.nextSibling;
      } else {
        old.insertBefore(match, at);
      }
      update(match, child);
    }
    while (at) {
      const surplus = at;
      at = at.nextSibling;
      surplus.remove();
    }
  }

  function show(next) {
    const focused = document.activeElement;
    const before = state.dataset.summary;
    update(state, next);
    if (focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: true }); // an element that was moved loses the focus
    }
    if (state.dataset.summary !== before) {
      change.textContent = state.dataset.summary; // screen readers read it
    }
  }

  function fail(problem) {
    const since = answered.toISOString().slice(11, 19);
    const message = `${problem}. This page shows an earlier state: the latest answer came at ${since} UTC.`;
    if (noAnswer.textContent !== message) {
      noAnswer.textContent = message;
    }
    noAnswer.hidden = false;
    document.body.classList.add("old");
  }

  async function request() {
    let answer;
    let body;
    try {
      answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
      body = await answer.text();
    } catch {
      fail("The runner does not answer");
      return;
    }
    if (!answer.ok) {
      fail(answer.status === 404 ? "The runner does not run this bridge any more" : `The runner answers with the error ${answer.status}`);
      return;
    }
    const next = new DOMParser().parseFromString(body, "text/html").getElementById("state");
    if (!next) {
      fail("Another program answers at the address of the runner");
      return;
    }
    answered = new Date();
    noAnswer.hidden = true;
    noAnswer.textContent = "";
    document.body.classList.remove("old");
    show(next);
  }

  async function refresh() {
    clearTimeout(timer);
    if (running || document.hidden) {
      return;
    }
    running = true;
    await request();
    running = false;
    timer = setTimeout(refresh, interval);
  }

  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, interval);
})();
