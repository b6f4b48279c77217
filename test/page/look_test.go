// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// eventually waits until ok returns nil. It gives the browser time to work between two calls.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	mqtttest.Eventually(t, patience, what, func() error {
		err := ok()
		if err != nil {
			time.Sleep(pollInterval)
		}
		return err
	})
}

// pollInterval is the time between two looks at a page.
const pollInterval = 100 * time.Millisecond

// text returns the text that the page shows.
func (tb *tab) text() string {
	tb.t.Helper()
	var out string
	tb.evaluate("document.body.innerText", &out)
	return out
}

// waitText waits until the page shows all texts.
func (tb *tab) waitText(texts ...string) {
	tb.t.Helper()
	eventually(tb.t, "the page shows "+strings.Join(texts, ", "), func() error {
		var shown string
		if err := tb.tryToEvaluate("document.body.innerText", &shown); err != nil {
			return err
		}
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
	eventually(tb.t, fmt.Sprintf("a row of %q has %q", caption, texts), func() error {
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

// waitRequests waits until the page has sent n more requests.
func waitRequests(tb *tab, n int) {
	tb.t.Helper()
	before := tb.sent()
	eventually(tb.t, "the page requests the state again", func() error {
		if tb.sent() < before+n {
			return errors.New("it does not")
		}
		return nil
	})
}
