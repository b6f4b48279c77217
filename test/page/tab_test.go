// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// tab is a tab of the browser. It records everything that a correct page never does.
type tab struct {
	t   *testing.T
	ctx context.Context
	// origin is the beginning of all URLs that the page may request.
	origin string

	mu       sync.Mutex
	requests int
	faults   []string
	// unreachable is true while the runner does not run, so that requests to it may fail.
	unreachable bool
}

// open opens a tab with a page of a runner. The tab is closed at the end of the test, which fails if
// the tab has recorded a fault.
func open(t *testing.T, r *mqtttest.Runner, path string) *tab {
	t.Helper()
	tb := openTab(t, r.URL("/"))
	t.Cleanup(func() {
		for _, fault := range tb.takeFaults() {
			t.Error(fault)
		}
	})
	tb.navigate(r.URL(path))
	return tb
}

// openTab opens an empty tab, whose faults the caller takes.
func openTab(t *testing.T, origin string) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	tb := &tab{t: t, ctx: ctx, origin: origin}
	chromedp.ListenTarget(ctx, tb.record)
	tb.run(network.Enable(), log.Enable(), cdppage.BringToFront())
	return tb
}

// record records an event of the tab.
func (tb *tab) record(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	fault := func(format string, values ...any) { tb.faults = append(tb.faults, fmt.Sprintf(format, values...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tb.requests++
		if !strings.HasPrefix(e.Request.URL, tb.origin) {
			fault("the page requests %s", e.Request.URL)
		}
		if e.Request.Method != "GET" {
			fault("the page sends %s", e.Request.Method)
		}
	case *log.EventEntryAdded:
		if !tb.unreachable || e.Entry.Source != log.SourceNetwork {
			fault("the browser logs: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		fault("the page writes to the console: %s", e.Type)
	case *runtime.EventExceptionThrown:
		fault("the script of the page fails: %s", e.ExceptionDetails.Error())
	case *cdppage.EventJavascriptDialogOpening:
		fault("the page opens a dialog: %s", e.Message)
	}
}

// takeFaults returns the recorded faults, and forgets them.
func (tb *tab) takeFaults() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	out := tb.faults
	tb.faults = nil
	return out
}

// setUnreachable records whether requests to the runner may fail.
func (tb *tab) setUnreachable(may bool) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.unreachable = may
}

// sent returns the number of requests of the tab.
func (tb *tab) sent() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.requests
}

func (tb *tab) run(actions ...chromedp.Action) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *tab) navigate(url string) {
	tb.t.Helper()
	tb.run(chromedp.Navigate(url))
}

// evaluate stores the value of an expression, which may be a promise, in out.
func (tb *tab) evaluate(expression string, out any) {
	tb.t.Helper()
	tb.run(chromedp.Evaluate(expression, out, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// text returns the text that the page shows.
func (tb *tab) text() string {
	tb.t.Helper()
	var out string
	tb.evaluate("document.body.innerText", &out)
	return out
}

// waitText waits until the page shows all texts. The page is not loaded again meanwhile.
func (tb *tab) waitText(texts ...string) {
	tb.t.Helper()
	mqtttest.Eventually(tb.t, patience, "the page shows "+strings.Join(texts, ", "), func() error {
		shown := tb.text()
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return fmt.Errorf("%q is missing in:\n%s", text, shown)
			}
		}
		return nil
	})
}

// rows returns the texts of the cells of all tables whose caption contains a text.
func (tb *tab) rows(caption string) (rows [][]string) {
	tb.t.Helper()
	quoted, err := json.Marshal(caption)
	if err != nil {
		tb.t.Fatal(err)
	}
	tb.evaluate(`[...document.querySelectorAll("table")].filter((t) => t.caption.textContent.includes(`+string(quoted)+`))`+
		`.flatMap((t) => [...t.tBodies[0].rows]).map((r) => [...r.cells].map((c) => c.textContent))`, &rows)
	return rows
}

// waitRow waits until a row of the tables with a caption contains the texts in this order, and returns
// the row.
func (tb *tab) waitRow(caption string, texts ...string) (found []string) {
	tb.t.Helper()
	mqtttest.Eventually(tb.t, patience, fmt.Sprintf("a row of %q has %q", caption, texts), func() error {
		rows := tb.rows(caption)
		for _, row := range rows {
			if containsInOrder(strings.Join(row, "|"), texts) {
				found = row
				return nil
			}
		}
		return fmt.Errorf("the rows are %q", rows)
	})
	return found
}

func containsInOrder(s string, texts []string) bool {
	for _, text := range texts {
		_, rest, ok := strings.Cut(s, text)
		if !ok {
			return false
		}
		s = rest
	}
	return true
}
