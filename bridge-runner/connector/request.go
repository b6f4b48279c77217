// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// requestMailbox holds the latest text that was passed to Request. The zero value holds
// the empty text, which requests nothing.
type requestMailbox struct {
	mu   sync.Mutex // the only lock of the package; no other lock is taken while it is held
	text string
	// signal has a token after text has changed. It is nil before the first use of
	// signalLocked, which returns it.
	signal chan struct{}
}

// changed returns a channel that receives after the text has changed.
func (m *requestMailbox) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.signalLocked()
}

func (m *requestMailbox) signalLocked() chan struct{} {
	if m.signal == nil {
		m.signal = make(chan struct{}, 1)
	}
	return m.signal
}

// Request requests a switch. The text is the name of a server. The word force may
// follow it. Further words have no meaning, except that they make it a new request.
//
// From then on the connector prefers this server to all others, until Request is called
// with another text. With an empty text it prefers none. If another server is in use,
// the connector switches at once. It probes the requested server first, unless the text
// has the word force. Request may be called at any time.
func (c *Connector) Request(text string) {
	c.mailbox.mu.Lock()
	defer c.mailbox.mu.Unlock()
	if text == c.mailbox.text {
		return
	}
	c.mailbox.text = text
	select {
	case c.mailbox.signalLocked() <- struct{}{}:
	default: // the connector has not received the signal of the previous request
	}
}

// switchRequest is a request and its state.
type switchRequest struct {
	text string
	// server is the index of the requested server, or noServer if no server has the
	// requested name.
	server int
	// pending is true until the request is done or refused.
	pending bool
	// force makes the connector switch without a probe.
	force bool
	// probing is true after a probe for this request has begun.
	probing bool
	// passed is true if the server has passed that probe.
	passed bool
	// failure explains why that probe failed. It is nil if the probe has passed or not ended.
	failure *diagnosis.Problem
}

const forced = "force"

// applySwitchRequest reads the mailbox and applies a request that has changed.
func (c *Connector) applySwitchRequest() {
	c.Alive.Begin(0)
	c.mailbox.mu.Lock()
	text := c.mailbox.text
	c.mailbox.mu.Unlock()
	if c.request != nil && c.request.text == text || c.request == nil && text == "" {
		return
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		c.request = nil
		c.machine.Prefer(noServer)
		c.Observer.Requested(nil)
		return
	}
	c.request = &switchRequest{text: text, pending: true, force: slices.Contains(words[1:], forced)}
	c.request.server = slices.IndexFunc(c.Servers, func(s Server) bool { return s.Name == words[0] })
	c.machine.Prefer(c.request.server)
	if c.request.server == noServer {
		c.reportRequest(v1alpha1.SwitchRefused, fmt.Sprintf("there is no server %q on this side; its servers are %s", words[0], c.names()))
		return
	}
	c.reportRequest(v1alpha1.SwitchPending, "")
}

func (c *Connector) names() string {
	names := make([]string, len(c.Servers))
	for i := range c.Servers {
		names[i] = c.Servers[i].Name
	}
	return strings.Join(names, ", ")
}

// requestedSwitch returns the server to switch to because of a pending request, or
// noServer if there is nothing to switch to now. It starts the probe of the request.
func (c *Connector) requestedSwitch(ctx context.Context) (server int, reason string) {
	r := c.request
	switch {
	case r == nil || !r.pending:
	case r.server == c.active:
		c.reportRequest(v1alpha1.SwitchDone, "the server is in use")
	case r.force || r.passed:
		return r.server, v1alpha1.ReasonSwitchRequested
	case r.failure != nil:
		c.refuseRequest(r.server, "its probe failed: "+r.failure.Message+"; to switch without a probe, write "+forced+" after the server's name in the annotation")
	case !r.probing && !c.probing[r.server]: // a probe that began before the request may have an outdated result
		r.probing = true
		c.startProbe(ctx, r.server)
	}
	return noServer, ""
}

// recordProbe records the result of the probe that the request has started.
func (r *switchRequest) recordProbe(p probeResult) {
	if r != nil && r.pending && r.probing && r.server == p.server {
		r.passed, r.failure = p.problem == nil, p.problem
	}
}

// completeRequest reports the requested switch as done, if the server in use is the
// requested one.
func (c *Connector) completeRequest(how Switch) {
	if c.request == nil || !c.request.pending || c.request.server != c.active {
		return
	}
	c.reportRequest(v1alpha1.SwitchDone, fmt.Sprintf("no messages were published for %d ms; the previous server acknowledged %d messages in flight, and %d are sent again to the new server",
		how.Interruption.Milliseconds(), how.Drained, how.Resent))
}

// refuseRequest reports that the requested server cannot be used. It does nothing if
// the pending request is for another server.
func (c *Connector) refuseRequest(server int, why string) {
	if c.request != nil && c.request.pending && c.request.server == server {
		c.reportRequest(v1alpha1.SwitchRefused, fmt.Sprintf("the bridge does not switch, because the server %q cannot be used: %s", c.Servers[server].Name, why))
	}
}

// reportRequest records, logs and reports the state of the request.
func (c *Connector) reportRequest(state v1alpha1.SwitchState, message string) {
	c.request.pending = state == v1alpha1.SwitchPending
	c.Log.Info("requested switch", "request", c.request.text, "state", state, "message", message)
	c.Observer.Requested(&v1alpha1.RequestedSwitch{
		Request: c.request.text, State: state, Message: message, Time: metav1.NewMicroTime(time.Now()),
	})
}
