// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
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

// latest returns the text.
func (m *requestMailbox) latest() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text
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

// switchRequest is a request that was reported to the machine. With an empty text, no
// switch is requested, and the other fields have no meaning.
type switchRequest struct {
	text string
	// name is the name of the requested server. server is its index, or noServer if no
	// server has this name.
	name   string
	server int
}

const forced = "force"

// parseRequest returns the name of the requested server, which is empty if no switch is
// requested, and whether to switch without a probe.
func parseRequest(text string) (name string, force bool) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return "", false
	}
	return words[0], slices.Contains(words[1:], forced)
}

// applySwitchRequest reads the mailbox, and reports a request that has changed to the
// machine.
func (c *Connector) applySwitchRequest() {
	c.Alive.Begin(0)
	text := c.mailbox.latest()
	if text == c.request.text {
		return
	}
	name, force := parseRequest(text)
	server := slices.IndexFunc(c.Servers, func(s Server) bool { return s.Name == name })
	c.request = switchRequest{text, name, server}
	if name == "" {
		c.machine.Withdrawn(time.Now())
		c.Observer.Requested(nil)
		return
	}
	c.reportRequest(c.machine.Requested(server, force, time.Now()), c.names())
}

func (c *Connector) names() string {
	names := make([]string, len(c.Servers))
	for i := range c.Servers {
		names[i] = c.Servers[i].Name
	}
	return strings.Join(names, ", ")
}

// reportRequest logs and reports an answer to the request. It does nothing if there is
// none. For details see describeAnswer.
func (c *Connector) reportRequest(answer failover.Answer, details string) {
	if answer == failover.NoAnswer {
		return
	}
	state, message := describeAnswer(answer, c.request.name, details)
	c.Log.Info("requested switch", "request", c.request.text, "state", state, "message", message)
	c.Observer.Requested(&v1alpha1.RequestedSwitch{
		Request: c.request.text, State: state, Message: message, Time: metav1.NewMicroTime(time.Now()),
	})
}

// describeAnswer returns the state and the message that report an answer to a request for
// the named server. details is the course of a switch, the message of a failure, or the
// names of the servers if the requested server is unknown.
func describeAnswer(answer failover.Answer, name, details string) (state v1alpha1.SwitchState, message string) {
	switch answer {
	case failover.InUse:
		return v1alpha1.SwitchDone, "the server is in use"
	case failover.Switched:
		return v1alpha1.SwitchDone, details
	case failover.UnknownServer:
		return v1alpha1.SwitchRefused, fmt.Sprintf("there is no server %q on this side; its servers are %s", name, details)
	case failover.ProbeFailed:
		details = "its probe failed: " + details + "; to switch without a probe, write " + forced + " after the server's name in the annotation"
	case failover.ConnectFailed:
		details = "the connection failed: " + details
	default: // Pending
		return v1alpha1.SwitchPending, ""
	}
	return v1alpha1.SwitchRefused, fmt.Sprintf("the bridge does not switch, because the server %q cannot be used: %s", name, details)
}

// describe returns the course of the switch in words.
func (s Switch) describe() string {
	return fmt.Sprintf("no messages were published for %d ms; the previous server acknowledged %d messages in flight, and %d are sent again to the new server",
		s.Interruption.Milliseconds(), s.Drained, s.Resent)
}
