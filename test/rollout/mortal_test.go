// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/controllers"
)

// forever is the life of an operator that does not die.
const forever = -1

var errDead = errors.New("the operator is dead")

// mortal is the connection of an operator that dies after a number of writes: no later request
// reaches the API server, and the operator does not receive the answer to the last write.
type mortal struct {
	next http.RoundTripper
	dead chan struct{} // closed at the death

	mu     sync.Mutex // guards the fields below, and is held during a write, so that the number is exact
	left   int        // the number of writes until the death, negative if the operator does not die
	writes []string   // as "METHOD path", in order
}

// startMortal starts an operator that dies after a number of writes.
func startMortal(t *testing.T, life int, image string, options ...func(*controllers.Reconciler)) (m *mortal, stop func()) {
	t.Helper()
	m = &mortal{dead: make(chan struct{}), left: life}
	config := rest.CopyConfig(server.Admin)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		m.next = next
		return m
	})
	return m, startOperatorWith(t, config, image, options...)
}

func (m *mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	if !isWrite(req) {
		if m.died() {
			return nil, errDead
		}
		return m.next.RoundTrip(req)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.died() {
		return nil, errDead
	}
	m.writes = append(m.writes, req.Method+" "+req.URL.Path)
	response, err := m.next.RoundTrip(req)
	m.left--
	if m.left != 0 || err != nil {
		return response, err
	}
	close(m.dead)
	return nil, errors.Join(errDead, response.Body.Close())
}

// isWrite reports whether a request changes an object. A dry run does not.
func isWrite(req *http.Request) bool {
	return req.Method != http.MethodGet && !req.URL.Query().Has("dryRun")
}

func (m *mortal) died() bool {
	select {
	case <-m.dead:
		return true
	default:
		return false
	}
}

// written returns the writes so far, one on each line.
func (m *mortal) written() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.writes, "\n")
}

// later lets an operator see a later time.
func later(by time.Duration) func(*controllers.Reconciler) {
	return func(r *controllers.Reconciler) { r.Now = func() time.Time { return time.Now().Add(by) } }
}
