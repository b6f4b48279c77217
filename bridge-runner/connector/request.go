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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// asked is what was asked for last. The zero value is nothing.
type asked struct {
	mu     sync.Mutex
	text   string
	signal chan struct{}
}

// changed is signalled when something else is asked for.
func (a *asked) changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channel()
}

func (a *asked) channel() chan struct{} {
	if a.signal == nil {
		a.signal = make(chan struct{}, 1)
	}
	return a.signal
}

// Request asks for a server: its name, behind which may stand the word force, and
// further words that only make it another request than the one before. From then on
// that server is preferred to all others, until something else is asked for; with an
// empty text none is. Where another one is in use, the connector switches at once. With
// force it does not probe the server before. It may be called at any time.
func (c *Connector) Request(text string) {
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	if text == c.asked.text {
		return
	}
	c.asked.text = text
	select {
	case c.asked.channel() <- struct{}{}:
	default: // it has not been heard of the one before
	}
}

// wanted is a request and how far it has come.
type wanted struct {
	text    string
	server  int
	pending bool // it is to be seen to
	force   bool
	probing bool
	passed  bool
	failure error
}

const forced = "force"

// heed takes over what is asked for now.
func (c *Connector) heed() {
	c.Alive.Begin(0)
	c.asked.mu.Lock()
	text := c.asked.text
	c.asked.mu.Unlock()
	if c.wanted != nil && c.wanted.text == text || c.wanted == nil && text == "" {
		return
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		c.wanted = nil
		c.machine.Prefer(none)
		c.Observer.Requested(nil)
		return
	}
	c.wanted = &wanted{text: text, pending: true, force: slices.Contains(words[1:], forced)}
	c.wanted.server = slices.IndexFunc(c.Servers, func(s Server) bool { return s.Name == words[0] })
	c.machine.Prefer(c.wanted.server)
	if c.wanted.server == none {
		c.tell(v1alpha1.SwitchRefused, fmt.Sprintf("there is no server %q on this side; its servers are %s", words[0], c.names()))
		return
	}
	c.tell(v1alpha1.SwitchPending, "")
}

func (c *Connector) names() string {
	names := make([]string, len(c.Servers))
	for i := range c.Servers {
		names[i] = c.Servers[i].Name
	}
	return strings.Join(names, ", ")
}

// pursue says which server to switch to because of a request, if one, while another
// one may be in use.
func (c *Connector) pursue(ctx context.Context) (server int, reason string) {
	w := c.wanted
	switch {
	case w == nil || !w.pending:
	case w.server == c.active:
		c.tell(v1alpha1.SwitchDone, "the server is in use")
	case w.force || w.passed:
		return w.server, v1alpha1.ReasonSwitchRequested
	case w.failure != nil:
		c.refuse(w.server, "it fails its probe: "+session.AsError(w.failure).Message+"; to switch all the same write "+forced+" behind its name")
	case !w.probing && !c.probing[w.server]: // one from before may tell what was before
		w.probing = true
		c.probe(ctx, w.server)
	}
	return none, ""
}

// probed notes the result of a probe of the server that is wanted.
func (w *wanted) probed(p probed) {
	if w != nil && w.pending && w.probing && w.server == p.server {
		w.passed, w.failure = p.err == nil, p.err
	}
}

// done tells how a requested switch went.
func (c *Connector) done(how Switch) {
	if c.wanted == nil || !c.wanted.pending || c.wanted.server != c.active {
		return
	}
	c.tell(v1alpha1.SwitchDone, fmt.Sprintf("no server took messages for %d ms; %d messages in flight were acknowledged before, %d are sent again",
		how.Gap.Milliseconds(), how.Drained, how.Resent))
}

// refuse tells that the request for a server cannot be done.
func (c *Connector) refuse(server int, why string) {
	if c.wanted != nil && c.wanted.pending && c.wanted.server == server {
		c.tell(v1alpha1.SwitchRefused, "the bridge stays where it is, because "+c.Servers[server].Name+" cannot be used now: "+why)
	}
}

// tell tells how far the request has come.
func (c *Connector) tell(state v1alpha1.SwitchState, message string) {
	c.wanted.pending = state == v1alpha1.SwitchPending
	c.Log.Info("requested switch", "request", c.wanted.text, "state", state, "message", message)
	c.Observer.Requested(&v1alpha1.RequestedSwitch{
		Request: c.wanted.text, State: state, Message: message, Time: metav1.NewMicroTime(time.Now()),
	})
}
