// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// Request is a request for a server of a side.
type Request struct {
	// Server is the name of the requested server.
	Server string
	// Force is true to switch without a probe.
	Force bool
	// Generation is the generation of the manifest with the request, or 0 if it has none. It
	// is reported with the answers.
	Generation int64
}

// same reports whether both are nil, or request the same in any generation.
func (r *Request) same(other *Request) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Server == other.Server && r.Force == other.Force
}

// Request requests a server, or none if r is nil. It may be called at any time.
//
// From then on the connector prefers this server to all others, until Request is called
// with another request. If another server is in use, the connector switches at once. It
// probes the requested server first, unless Force is true. A request that differs from the
// previous one only in its generation has no effect.
//
// If the latest settings have no server of this name, Request returns an error, and the previous
// request stays. A change of the settings that removes the requested server withdraws the request.
func (c *Connector) Request(r *Request) error {
	if r == nil {
		return c.mailbox.put(nil)
	}
	next := *r
	return c.mailbox.put(&next)
}

// applySwitchRequest reports a request that has changed to the machine.
func (c *Connector) applySwitchRequest(next *Request) {
	if next == c.request {
		return
	}
	c.request = next
	if next == nil {
		c.machine.Withdrawn(time.Now())
		c.Observer.Requested(nil)
		return
	}
	c.machine.Requested(c.settings.index(next.Server), next.Force, time.Now())
	c.reportRequest(failover.Pending, "")
}

// reportRequest logs and reports an answer to the request. It does nothing if there is
// none. For details see describeAnswer.
func (c *Connector) reportRequest(answer failover.Answer, details string) {
	if answer == failover.NoAnswer {
		return
	}
	state, message := describeAnswer(answer, details)
	r := c.request
	c.Log.Info("requested switch", "server", r.Server, "force", r.Force, "state", state, "message", message)
	c.Observer.Requested(&v1alpha1.RequestedSwitch{
		Server: r.Server, Generation: r.Generation, State: state, Message: message, Time: metav1.NewMicroTime(time.Now()),
	})
}

// describeAnswer returns the state and the message that report an answer to a request.
// details is the course of a switch, or the message of a failure.
func describeAnswer(answer failover.Answer, details string) (state v1alpha1.SwitchState, message string) {
	switch answer {
	case failover.InUse:
		return v1alpha1.SwitchDone, "the server is in use"
	case failover.Switched:
		return v1alpha1.SwitchDone, details
	case failover.ProbeFailed:
		return v1alpha1.SwitchRefused, "the probe of the server failed, so the bridge does not switch (to switch without a probe, set preferredServer.force to true): " + details
	case failover.ConnectFailed:
		return v1alpha1.SwitchRefused, "the connection to the server failed, so the bridge does not switch (to repeat the request, remove preferredServer and set it again): " + details
	default: // Pending
		return v1alpha1.SwitchPending, ""
	}
}

// describe returns the course of the switch in words.
func (s Switch) describe() string {
	return fmt.Sprintf("no messages were published for %d ms; the previous server acknowledged %s in flight, and the bridge sends %s again to the new server",
		s.Interruption.Milliseconds(), count.Of(s.Drained, "message"), count.Of(s.Resent, "message"))
}
