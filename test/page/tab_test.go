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

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// tab is a tab of the browser. It records everything that a correct page never does. This file has all
// code that depends on the library for the browser.
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
	tb.do()
	watch(tb, network.RequestWillBeSent, tb.requested)
	watch(tb, log.EntryAdded, tb.logged)
	watch(tb, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) { tb.fault("the page writes to the console: %s", e.Type) })
	watch(tb, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) {
		tb.fault("the script of the page fails: %+v", e.ExceptionDetails)
	})
	watch(tb, cdppage.JavascriptDialogOpening, func(e cdppage.EventJavascriptDialogOpening) { tb.fault("the page opens a dialog: %s", e.Message) })
	call(tb, network.Enable, network.EnableParams{})
	call(tb, log.Enable, cdp.Empty{})
	call(tb, cdppage.BringToFront, cdp.Empty{})
	return tb
}

// watch calls a function for each event of a kind until the tab is closed.
func watch[E any](tb *tab, event cdp.Event[E], handle func(E)) {
	events := chromedp.Events(tb.ctx, event)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			handle(e)
		}
	}()
}

// call sends a command of the browser's protocol.
func call[P, R any](tb *tab, command cdp.Command[P, R], params P) R {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		tb.t.Fatal(err)
	}
	return result
}

// do runs actions.
func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, actions...); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *tab) requested(e network.EventRequestWillBeSent) {
	tb.mu.Lock()
	tb.requests++
	tb.mu.Unlock()
	if !strings.HasPrefix(e.Request.URL, tb.origin) {
		tb.fault("the page requests %s", e.Request.URL)
	}
	if e.Request.Method != "GET" {
		tb.fault("the page sends %s", e.Request.Method)
	}
}

func (tb *tab) logged(e log.EventEntryAdded) {
	tb.mu.Lock()
	unreachable := tb.unreachable
	tb.mu.Unlock()
	if !unreachable || e.Entry.Source != "network" {
		tb.fault("the browser logs: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	}
}

// fault records a fault.
func (tb *tab) fault(format string, values ...any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.faults = append(tb.faults, fmt.Sprintf(format, values...))
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

func (tb *tab) navigate(url string) {
	tb.t.Helper()
	tb.do(chromedp.Navigate(url))
}

// click clicks the first element that a selector of CSS finds.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.do(chromedp.Click(chromedp.CSS(selector)))
}

// setScreen sets the size of the screen, in pixels.
func (tb *tab) setScreen(width, height int64, phone bool) {
	tb.t.Helper()
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone})
}

// setColorScheme sets the user's preference, light or dark.
func (tb *tab) setColorScheme(scheme string) {
	tb.t.Helper()
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

func (tb *tab) disableScripts() {
	tb.t.Helper()
	call(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// screenshot returns an image of the screen, as PNG.
func (tb *tab) screenshot() []byte {
	tb.t.Helper()
	return call(tb, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{}).Data
}

// evaluate stores the value of an expression in out.
func (tb *tab) evaluate(expression string, out any) {
	tb.t.Helper()
	if err := tb.tryToEvaluate(expression, out); err != nil {
		tb.t.Fatal(err)
	}
}

// tryToEvaluate is like evaluate. It returns an error if the expression fails, also because the browser
// loads another page meanwhile.
func (tb *tab) tryToEvaluate(expression string, out any) error {
	return tb.decode(chromedp.Evaluate[string]("JSON.stringify("+expression+") ?? 'null'"), expression, out)
}

// await stores the value of a promise in out.
func (tb *tab) await(promise string, out any) {
	tb.t.Helper()
	if err := tb.decode(chromedp.Evaluate[string](promise+".then((value) => JSON.stringify(value) ?? 'null')", chromedp.EvalAwaitPromise), promise, out); err != nil {
		tb.t.Fatal(err)
	}
}

// decode stores the JSON that an action returns in out.
func (tb *tab) decode(action chromedp.Action[string], expression string, out any) error {
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err == nil {
		err = json.Unmarshal([]byte(value), out)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", expression, value, err)
	}
	return nil
}
