// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxPending is the largest number of records that wait to be written. Further records are
// dropped and counted.
const maxPending = 1024

// Async returns a logger that writes its records in another goroutine, so that logging never
// blocks: code that holds a lock or forwards a message must not wait for the reader of the
// log.
func Async(log *slog.Logger) *slog.Logger {
	if _, ok := log.Handler().(*asyncHandler); ok {
		return log
	}
	return slog.New(&asyncHandler{next: log.Handler(), waiting: &asyncRecords{}})
}

// FlushAsync waits until all records of a logger of [Async] are written, but not longer than
// timeout.
func FlushAsync(log *slog.Logger, timeout time.Duration) {
	h, ok := log.Handler().(*asyncHandler)
	if !ok {
		return
	}
	written := make(chan struct{})
	if !h.waiting.whenWritten(func() { close(written) }) {
		return
	}
	select {
	case <-written:
	case <-time.After(timeout):
	}
}

// asyncHandler is a [slog.Handler]. Handlers that are derived from one handler share its queue
// of records, so the records keep their order.
type asyncHandler struct {
	next    slog.Handler
	waiting *asyncRecords
}

func (h *asyncHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *asyncHandler) Handle(_ context.Context, r slog.Record) error {
	h.waiting.add(lateRecord{h.next, r.Clone()}) //nolint:contextcheck // the record may be written after ctx has ended
	return nil
}

func (h *asyncHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &asyncHandler{next: h.next.WithAttrs(attrs), waiting: h.waiting}
}

func (h *asyncHandler) WithGroup(name string) slog.Handler {
	return &asyncHandler{next: h.next.WithGroup(name), waiting: h.waiting}
}

type lateRecord struct {
	to     slog.Handler
	record slog.Record
}

// asyncRecords is the queue of records that wait to be written. While it is not empty, a
// goroutine writes them.
type asyncRecords struct {
	mu      sync.Mutex
	records []lateRecord
	writing bool
	dropped int      // the number of dropped records since takeAll was last called
	written []func() // called when all records are written
}

func (l *asyncRecords) add(r lateRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) >= maxPending {
		l.dropped++
		return
	}
	l.records = append(l.records, r)
	if !l.writing {
		l.writing = true
		go l.write()
	}
}

// whenWritten registers call, which is called when all records are written. It returns false,
// and does not register call, if all records are written already.
func (l *asyncRecords) whenWritten(call func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing {
		l.written = append(l.written, call)
	}
	return l.writing
}

func (l *asyncRecords) write() {
	for {
		records, dropped, ok := l.takeAll()
		if !ok {
			return
		}
		for _, r := range records {
			_ = r.to.Handle(context.Background(), r.record) // loggers of slog ignore this error, too
		}
		if dropped > 0 {
			warning := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped, because they arrived faster than they could be written", 0)
			warning.AddAttrs(slog.Int("lines", dropped))
			_ = records[0].to.Handle(context.Background(), warning)
		}
	}
}

// takeAll removes and returns all records. If there are none, ok is false and the writing
// goroutine must end.
func (l *asyncRecords) takeAll() (records []lateRecord, dropped int, ok bool) {
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
