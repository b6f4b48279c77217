// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// troubled starts a process whose pages have badges of several kinds.
func troubled(t *testing.T) *mqtttest.Host {
	t.Helper()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	none := "mqtt://" + mqtttest.FreeAddress(t)
	host := mqtttest.StartHost(t,
		manifest("healthy", local.URL(), "cloud", remote.URL()),
		manifest("on-backup", local.URL(), "cloud-east", none, "cloud-west", remote.URL()),
		manifest("down", local.URL(), "cloud", none))
	host.WaitConnected("on-backup.yaml", patience)
	host.WaitConnected("healthy.yaml", patience)
	return host
}

// lowContrast returns the texts whose contrast with their background is less than 4.5, as level AA of the
// Web Content Accessibility Guidelines requires.
const lowContrast = `(() => {
	const parse = (color) => color.match(/[\d.]+/g).map(Number);
	const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const background = (e) => {
		for (; e; e = e.parentElement) {
			const color = parse(getComputedStyle(e).backgroundColor);
			if (color.length === 3 || color[3] === 1) return color;
		}
		return parse(matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(0 0 0)" : "rgb(255 255 255)");
	};
	const low = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let checked = 0;
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
		checked++;
		const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(background(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) low.push(ratio.toFixed(2) + ": " + walker.currentNode.data);
	}
	return {low, checked};
})()`

func TestPage_LightAndDark_TextsHaveContrast(t *testing.T) {
	host := troubled(t)
	for _, path := range []string{"/", "/bridges/plant/on-backup", "/bridges/plant/down"} {
		for _, scheme := range []string{"light", "dark"} {
			tb := open(t, host.Runner, path)
			tb.setColorScheme(scheme)
			var result struct {
				Low     []string
				Checked int
			}
			tb.evaluate(lowContrast, &result)
			if len(result.Low) > 0 || result.Checked < 20 {
				t.Errorf("%s, %s: of %d texts, these have little contrast: %q", path, scheme, result.Checked, result.Low)
			}
			var dark bool
			tb.evaluate(`getComputedStyle(document.body).backgroundColor === "rgb(18, 22, 27)"`, &dark)
			if dark != (scheme == "dark") {
				t.Errorf("%s, %s: the background is dark: %t", path, scheme, dark)
			}
		}
	}
}

// tooWide returns the elements that extend beyond their section.
const tooWide = `[...document.querySelectorAll("section *")].filter((e) => {
	const outer = e.closest("section").getBoundingClientRect();
	return e.getBoundingClientRect().width > 1 && e.getBoundingClientRect().right > outer.right + 1;
}).map((e) => e.outerHTML)`

func TestPage_PhoneToDesktop_NeedsNoHorizontalScrolling(t *testing.T) {
	host := troubled(t)
	for _, path := range []string{"/", "/bridges/plant/on-backup", "/bridges/plant/down"} {
		tb := open(t, host.Runner, path)
		for _, width := range []int64{320, 360, 768, 959, 961, 1280, 1920} {
			tb.setScreen(width, 740, width < 500)
			var contents int64
			tb.evaluate("document.documentElement.scrollWidth", &contents)
			if contents > width {
				t.Errorf("%s is %d pixels wide on a screen of %d", path, contents, width)
			}
			var wide []string
			tb.evaluate(tooWide, &wide)
			if len(wide) > 0 {
				t.Errorf("%s on a screen of %d pixels: these elements are too wide: %q", path, width, wide)
			}
		}
	}
}

// structure describes the parts of the page that help users of screen readers.
const structure = `(() => {
	const count = (selector) => document.querySelectorAll(selector).length;
	return {
		lang: document.documentElement.lang, title: document.title,
		landmarks: ["header", "main", "footer", "h1"].filter((name) => count(name) !== 1),
		sections: [...document.querySelectorAll("section, nav")].filter((e) => !e.ariaLabel).length,
		tables: [...document.querySelectorAll("table")].filter((t) => !t.caption || [...t.tHead.rows[0].cells].some((c) => c.scope !== "col") || [...t.tBodies[0].rows].some((r) => r.cells[0].scope !== "row")).length,
		fields: [...document.querySelectorAll("input")].filter((i) => i.labels.length !== 1).length,
		tablesAtAll: count("table"),
	};
})()`

func TestPage_Structure_HasLandmarksAndHeadings(t *testing.T) {
	host := troubled(t)
	for path, title := range map[string]string{"/": "Bridges", "/bridges/plant/on-backup": "plant/on-backup"} {
		tb := open(t, host.Runner, path)
		var got struct {
			Lang, Title                           string
			Landmarks                             []string
			Sections, Tables, Fields, TablesAtAll int
		}
		tb.evaluate(structure, &got)
		if got.Lang != "en" || !strings.HasPrefix(got.Title, title) || len(got.Landmarks) > 0 || got.Sections+got.Tables+got.Fields > 0 || got.TablesAtAll == 0 {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestPage_WithoutScript_ShowsTheStateAndReloads(t *testing.T) {
	host := troubled(t)
	tb := openTab(t, host.URL("/"))
	tb.disableScripts()
	tb.navigate(host.URL("/bridges/plant/on-backup"))
	tb.waitText("Forwarding, with problems", "Connected to cloud-west, backup")
	waitRequests(tb, 2) // the page and its style sheet, again
	tb.waitText("Connected to cloud-west, backup")
}

// If no one looks at the page, it costs nothing.
func TestPage_NotVisible_SendsNoRequests(t *testing.T) {
	host := troubled(t)
	tb := open(t, host.Runner, "/")
	waitRequests(tb, 2)
	var hidden bool
	tb.evaluate(`(Object.defineProperty(document, "hidden", {get: () => window.isHidden}), window.isHidden = true)`, &hidden)
	before := -1
	eventually(t, "the page sends no requests for two of its intervals", func() error {
		if now := tb.sent(); now != before {
			before = now
			tb.await("new Promise((done) => setTimeout(done, 4500))", new(any))
			return fmt.Errorf("%d requests", tb.sent())
		}
		return nil
	})
	tb.evaluate(`(window.isHidden = false, document.dispatchEvent(new Event("visibilitychange")))`, &hidden)
	waitRequests(tb, 2)
}
