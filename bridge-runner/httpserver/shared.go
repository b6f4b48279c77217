// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// maxHeld is the largest size of the answers that are being written, in bytes. The latest minHeld answers may be
	// larger. For a further answer, the oldest one is cut off.
	maxHeld = 16 << 20
	minHeld = 4
	// rest is the shortest time between two answers, as a multiple of the time to make the former: clients cannot make
	// a server use more than a fifth of a processor.
	rest = 4
)

// Shared bounds the cost of a handler whose answers take time to make and to write, and which depend only on the method,
// the URL and the headers Accept, Accept-Encoding and Range. It makes one answer at a time, in memory, and gives it to all
// requests that were waiting for it. An answer is never older than the request. Slow clients keep answers in memory, up to
// a limit.
func Shared(handler http.Handler) http.Handler {
	return &shared{handler: handler, turn: make(chan struct{}, 1), waiting: map[string]*waiting{}}
}

type shared struct {
	handler http.Handler
	// turn is held while an answer is made, and for a time after it.
	turn chan struct{}

	mu sync.Mutex // guards the fields below, and the fields of answers; no other lock is taken while it is held
	// waiting has the requests that wait, by what their answer depends on. A client chooses the keys, so that a key and
	// its answer are kept only while a request with the key waits.
	waiting map[string]*waiting
	// held are the answers that are being written, the oldest first, and heldBytes is their size.
	held      []*answer
	heldBytes int
}

// waiting are the requests with the same answer.
type waiting struct {
	// requests is the number of requests that wait.
	requests int
	// latest is the latest answer since the first of them has arrived. It is nil if there is none.
	latest *answer
}

// answer is an answer in memory.
type answer struct {
	began  time.Time
	status int
	header http.Header
	body   bytes.Buffer
	// writers are the requests to which the answer is being written.
	writers []*http.ResponseController
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

// ServeHTTP implements http.Handler.
func (s *shared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s.answer(r)
	if a == nil {
		return // the client has closed the connection
	}
	controller := http.NewResponseController(w)
	s.begin(a, controller)
	defer s.end(a, controller)
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	w.WriteHeader(max(a.status, http.StatusOK))
	_, _ = w.Write(a.body.Bytes()) // fails if the client has closed the connection, or reads too slowly
}

// answer returns an answer that was made since the request arrived. It is nil if the client does not wait for it.
func (s *shared) answer(r *http.Request) *answer {
	arrived := time.Now()
	key := fmt.Sprintf("%s %q %q %q %q", r.Method, r.URL.RequestURI(), r.Header["Accept"], r.Header["Accept-Encoding"], r.Header["Range"])
	same := s.wait(key)
	defer s.forget(key)
	select {
	case s.turn <- struct{}{}:
	case <-r.Context().Done():
		return nil
	}
	pause := time.Duration(0)
	defer func() { time.AfterFunc(pause, func() { <-s.turn }) }() // also after a panic of the handler
	s.mu.Lock()
	a := same.latest
	s.mu.Unlock()
	if a != nil && !a.began.Before(arrived) {
		return a
	}
	a = &answer{began: time.Now(), header: http.Header{}}
	s.handler.ServeHTTP(a, r)
	pause = rest * time.Since(a.began)
	s.mu.Lock()
	same.latest = a
	s.mu.Unlock()
	return a
}

// wait begins the wait of a request, and returns the requests with the same answer.
func (s *shared) wait(key string) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.waiting[key]
	if same == nil {
		same = &waiting{}
		s.waiting[key] = same
	}
	same.requests++
	return same
}

// forget ends the wait of a request.
func (s *shared) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.waiting[key]
	same.requests--
	if same.requests == 0 {
		delete(s.waiting, key)
	}
}

// begin records that an answer is being written. If slow clients keep too many answers in memory, it cuts off the oldest.
func (s *shared) begin(a *answer, to *http.ResponseController) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(a.writers) == 0 {
		s.held = append(s.held, a)
		s.heldBytes += a.body.Len()
	}
	a.writers = append(a.writers, to)
	for s.heldBytes > maxHeld && len(s.held) > minHeld {
		oldest := s.held[0]
		for _, writer := range oldest.writers {
			_ = writer.SetWriteDeadline(time.Now()) // the write fails, and the server closes the connection
		}
		s.removeLocked(oldest)
	}
}

// end records that an answer is written.
func (s *shared) end(a *answer, to *http.ResponseController) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.writers = slices.DeleteFunc(a.writers, func(w *http.ResponseController) bool { return w == to })
	if len(a.writers) == 0 {
		s.removeLocked(a)
	}
}

// removeLocked removes an answer from the held ones, unless it was cut off.
func (s *shared) removeLocked(a *answer) {
	if i := slices.Index(s.held, a); i >= 0 {
		s.held = slices.Delete(s.held, i, i+1)
		s.heldBytes -= a.body.Len()
	}
}
