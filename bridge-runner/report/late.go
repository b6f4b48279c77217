// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLate is how many records wait to be written. More are dropped, and counted.
const maxLate = 1024

// Late returns a logger that hands its records to another goroutine, so that it never
// blocks: what is logged with a lock held, or on a message's way, must not wait for
// whoever reads the log.
func Late(log *slog.Logger) *slog.Logger {
	if _, ok := log.Handler().(*lateHandler); ok {
		return log
	}
	return slog.New(&lateHandler{next: log.Handler(), waiting: &lateRecords{}})
}

// FlushLate waits until all that was logged by a logger of [Late] is written, for a time.
func FlushLate(log *slog.Logger, most time.Duration) {
	h, ok := log.Handler().(*lateHandler)
	if !ok {
		return
	}
	written := make(chan struct{})
	if !h.waiting.whenWritten(func() { close(written) }) {
		return
	}
	select {
	case <-written:
	case <-time.After(most):
	}
}

// lateHandler is a [slog.Handler]. Those that are made of one share its records, so that
// their order is kept.
type lateHandler struct {
	next    slog.Handler
	waiting *lateRecords
}

func (h *lateHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *lateHandler) Handle(_ context.Context, r slog.Record) error {
	h.waiting.add(lateRecord{h.next, r.Clone()}) //nolint:contextcheck // it is written when ctx may be over
	return nil
}

func (h *lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lateHandler{next: h.next.WithAttrs(attrs), waiting: h.waiting}
}

func (h *lateHandler) WithGroup(name string) slog.Handler {
	return &lateHandler{next: h.next.WithGroup(name), waiting: h.waiting}
}

type lateRecord struct {
	to     slog.Handler
	record slog.Record
}

// lateRecords are the records that wait to be written. A goroutine writes them while there
// are any.
type lateRecords struct {
	mu      sync.Mutex
	records []lateRecord
	writing bool
	dropped int      // since one was last taken
	written []func() // to be called when none is left
}

func (l *lateRecords) add(r lateRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) >= maxLate {
		l.dropped++
		return
	}
	l.records = append(l.records, r)
	if !l.writing {
		l.writing = true
		go l.write()
	}
}

// whenWritten has call called when all is written. It reports false if all is.
func (l *lateRecords) whenWritten(call func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing {
		l.written = append(l.written, call)
	}
	return l.writing
}

func (l *lateRecords) write() {
	for {
		records, dropped, ok := l.take()
		if !ok {
			return
		}
		for _, r := range records {
			_ = r.to.Handle(context.Background(), r.record) // slog's own loggers have no place for it either
		}
		if dropped > 0 {
			warning := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped: they came faster than they could be written", 0)
			warning.AddAttrs(slog.Int("lines", dropped))
			_ = records[0].to.Handle(context.Background(), warning)
		}
	}
}

// take takes all that waits. ok is false if nothing does: then the writing is over.
func (l *lateRecords) take() (records []lateRecord, dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) == 0 {
		l.writing = false
		for _, call := range l.written {
			call()
		}
		l.written = nil
		return nil, 0, false
	}
	records, dropped = l.records, l.dropped
	l.records, l.dropped = nil, 0
	return records, dropped, true
}
