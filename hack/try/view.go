// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// refreshInterval is the time between two updates of the table in a terminal.
	refreshInterval = 200 * time.Millisecond

	// plainInterval is the time between two lines about the progress elsewhere.
	plainInterval = 5 * time.Second

	// leastWidth is the width of the table. In a terminal that is less wide, lines are printed instead.
	leastWidth = 76
)

// Control sequences of ANSI terminals.
const (
	clearBelow = "\x1b[J"
	cursorUp   = "\x1b[%dA"
	bold       = "\x1b[1m"
	plain      = "\x1b[0m"
)

// view prints the story. In a terminal, it shows a table below the story and updates it. Elsewhere, it
// prints a line about the progress from time to time.
type view struct {
	out      *os.File
	terminal bool
	rows     func() (table []string, summary string)
	began    time.Time
	stop     func()
	stopped  chan struct{}

	mu    sync.Mutex // protects the output
	shown int        // number of lines of the table on the screen
	table []string
}

// newView starts a view. rows returns the table, and the same in short.
func newView(out *os.File, rows func() (table []string, summary string)) *view {
	stop := make(chan struct{})
	v := &view{out: out, rows: rows, began: time.Now(), stop: sync.OnceFunc(func() { close(stop) }), stopped: make(chan struct{})}
	if width, _, err := term.GetSize(int(out.Fd())); err == nil {
		v.terminal = width >= leastWidth && os.Getenv("TERM") != "dumb"
	}
	go v.refresh(stop)
	return v
}

func (v *view) refresh(stop <-chan struct{}) {
	defer close(v.stopped)
	interval := plainInterval
	if v.terminal {
		interval = refreshInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		table, summary := v.rows()
		switch {
		case len(table) == 0:
		case v.terminal:
			v.mu.Lock()
			v.table = table
			v.printLocked("")
			v.mu.Unlock()
		default:
			v.say("    %s", summary)
		}
	}
}

// say prints a line with the time since the start.
func (v *view) say(format string, args ...any) {
	v.print(fmt.Sprintf("[%5.1fs] %s\n", time.Since(v.began).Seconds(), fmt.Sprintf(format, args...)))
}

// print prints text above the table.
func (v *view) print(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.printLocked(text)
}

// printLocked replaces the table on the screen by the text and the table.
func (v *view) printLocked(text string) {
	var b strings.Builder
	if v.shown > 0 {
		fmt.Fprintf(&b, cursorUp, v.shown)
		b.WriteString(clearBelow)
	}
	b.WriteString(text)
	for _, line := range v.table {
		b.WriteString(line + "\n")
	}
	v.shown = len(v.table)
	_, _ = v.out.WriteString(b.String())
}

// close ends the updates, and removes the table from the screen.
func (v *view) close() {
	v.stop()
	<-v.stopped
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table = nil
	v.printLocked("")
}
