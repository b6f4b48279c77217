// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package page serves the page of the runner: the state of its bridges for a browser.
//
// It promises that the page only reads, that it loads nothing from another host, and that it shows no
// secrets, no topics of messages and no payloads. Without requests, it costs nothing. Each request
// renders the whole state; the script of the page requests it again every two seconds while a user sees
// the page, and replaces the parts that have changed. Without the script, the page reloads itself.
//
// It leaves access control to others: a client that reaches the port sees the page.
package page

import (
	"embed"
	"net/http"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

//go:embed assets
var assets embed.FS

// policy permits the browser to load the style sheet, the script, the icon and the state, all of them
// from the runner. No other page may show this page in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Handler serves the page of a process.
type Handler struct {
	source *Source
	// reading is held while the state is read, so that a later reading has no smaller counts. The locks of the
	// source are taken while it is held.
	reading sync.Mutex
	rates   *rates
	// version is shown at the end of the page.
	version string
	now     func() time.Time
}

// New returns the page of a process.
func New(source *Source) *Handler {
	return &Handler{source: source, rates: newRates(), version: buildinfo.Line("bridge-runner"), now: time.Now}
}

// Register adds the paths of the page.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", h.serveStart)
	if h.source.Find != nil {
		mux.HandleFunc("GET /bridges/{namespace}/{name}", h.serveBridge)
	}
	for name, contentType := range map[string]string{
		"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "page.svg": "image/svg+xml",
	} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			setHeaders(w, contentType)
			http.ServeFileFS(w, r, assets, "assets/"+name)
		})
	}
}

// setHeaders sets the headers of all answers of this package. no-store, because the next version of the
// runner may have another page at the same address.
func setHeaders(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer") // the address may contain the part of a name
}

// read reads the state by a function, and returns the time of the reading.
func (h *Handler) read(state func()) time.Time {
	h.reading.Lock()
	defer h.reading.Unlock()
	state()
	now := h.now()
	h.rates.forget(now)
	return now
}

// serveStart serves the bridge, or the list of the bridges.
func (h *Handler) serveStart(w http.ResponseWriter, r *http.Request) {
	if h.source.Many == nil {
		var b Bridge
		now := h.read(func() { b = h.source.One() })
		summary, sections := h.bridgeState(&b, now)
		write(w, &document{title: b.title(), base: "", summary: summary, sections: sections, now: now, version: h.version})
		return
	}
	filter := r.URL.Query().Get("name")
	var all []Bridge
	now := h.read(func() { all = h.source.Many() })
	summary, sections := h.listState(all, filter, now)
	write(w, &document{title: "Bridges", navigation: filterForm(filter), summary: summary, sections: sections, now: now, version: h.version})
}

// serveBridge serves one of many bridges.
func (h *Handler) serveBridge(w http.ResponseWriter, r *http.Request) {
	var b Bridge
	var ok bool
	now := h.read(func() { b, ok = h.source.Find(r.PathValue("namespace"), r.PathValue("name")) })
	if !ok {
		http.Error(w, "the process runs no such bridge; / lists the bridges", http.StatusNotFound)
		return
	}
	summary, sections := h.bridgeState(&b, now)
	const base = "../../"
	write(w, &document{
		title: b.title(), base: base, navigation: txt("a", "All bridges").set("href", base),
		summary: summary, sections: sections, now: now, version: h.version,
	})
}

// filterForm asks for a part of the names of bridges.
func filterForm(filter string) node {
	field := el("input").set("id", "name").set("name", "name").set("type", "search").set("value", filter)
	return el("form", txt("label", "Name contains ").set("for", "name"), field, text(" "), txt("button", "Filter")).set("role", "search")
}

// document is a page.
type document struct {
	title string
	// base is the relative path of the start page, so that the page also works below a path of a proxy.
	base string
	// navigation leads to other pages. It is nil if there are none.
	navigation node
	summary    string
	sections   []node
	now        time.Time
	version    string
}

func write(w http.ResponseWriter, d *document) {
	setHeaders(w, "text/html; charset=utf-8")
	_, _ = w.Write(d.html()) // fails if the client has closed the connection
}

func (d *document) html() []byte {
	head := el("head",
		el("meta").set("charset", "utf-8"),
		txt("title", d.title+" – bridge-runner"),
		el("meta").set("name", "viewport").set("content", "width=device-width, initial-scale=1"),
		el("meta").set("name", "color-scheme").set("content", "light dark"),
		el("link").set("rel", "icon").set("href", d.base+"page.svg"),
		el("link").set("rel", "stylesheet").set("href", d.base+"page.css"),
		el("script").set("src", d.base+"page.js").set("defer", ""),
		el("noscript", el("meta").set("http-equiv", "refresh").set("content", "5")))
	header := el("header", el("h1", foreign(d.title)))
	if d.navigation != nil {
		header.add(el("nav", d.navigation).set("aria-label", "Bridges"))
	}
	state := el("main", d.sections...).set("id", "state").set("data-summary", d.summary)
	state.add(el("p", el("small", text("State at "), txt("time", d.now.UTC().Format("2006-01-02 15:04:05 UTC")).set("datetime", d.now.UTC().Format(time.RFC3339)))))
	body := el("body", header,
		el("p").set("id", "no-answer").set("role", "alert").set("hidden", ""),
		el("p").set("id", "change").set("role", "status").class("unseen"),
		state,
		el("footer", txt("small", d.version)))
	return el("html", head, body).set("lang", "en").appendTo([]byte("<!DOCTYPE html>"))
}
