// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package link

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
// empty text none is. Where another one is in use, the link switches at once. With
// force it does not probe the server before. It may be called at any time.
func (l *Link) Request(text string) {
	l.asked.mu.Lock()
	defer l.asked.mu.Unlock()
	if text == l.asked.text {
		return
	}
	l.asked.text = text
	select {
	case l.asked.channel() <- struct{}{}:
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
func (l *Link) heed() {
	l.Alive.Begin(0)
	l.asked.mu.Lock()
	text := l.asked.text
	l.asked.mu.Unlock()
	if l.wanted != nil && l.wanted.text == text || l.wanted == nil && text == "" {
		return
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		l.wanted = nil
		l.machine.Prefer(none)
		l.Observer.Requested(nil)
		return
	}
	l.wanted = &wanted{text: text, pending: true, force: slices.Contains(words[1:], forced)}
	l.wanted.server = slices.IndexFunc(l.Servers, func(s Server) bool { return s.Name == words[0] })
	l.machine.Prefer(l.wanted.server)
	if l.wanted.server == none {
		l.tell(v1alpha1.SwitchRefused, fmt.Sprintf("there is no server %q on this side; its servers are %s", words[0], l.names()))
		return
	}
	l.tell(v1alpha1.SwitchPending, "")
}

func (l *Link) names() string {
	names := make([]string, len(l.Servers))
	for i := range l.Servers {
		names[i] = l.Servers[i].Name
	}
	return strings.Join(names, ", ")
}

// pursue says which server to switch to because of a request, if one, while another
// one may be in use.
func (l *Link) pursue(ctx context.Context) (server int, reason string) {
	w := l.wanted
	switch {
	case w == nil || !w.pending:
	case w.server == l.active:
		l.tell(v1alpha1.SwitchDone, "the server is in use")
	case w.force || w.passed:
		return w.server, v1alpha1.ReasonSwitchRequested
	case w.failure != nil:
		l.refuse(w.server, "it fails its probe: "+session.AsError(w.failure).Message+"; to switch all the same write "+forced+" behind its name")
	case !w.probing && !l.probing[w.server]: // one from before may tell what was before
		w.probing = true
		l.probe(ctx, w.server)
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
func (l *Link) done(how Switch) {
	if l.wanted == nil || !l.wanted.pending || l.wanted.server != l.active {
		return
	}
	l.tell(v1alpha1.SwitchDone, fmt.Sprintf("no server took messages for %d ms; %d messages in flight were acknowledged before, %d are sent again",
		how.Gap.Milliseconds(), how.Drained, how.Resent))
}

// refuse tells that the request for a server cannot be done.
func (l *Link) refuse(server int, why string) {
	if l.wanted != nil && l.wanted.pending && l.wanted.server == server {
		l.tell(v1alpha1.SwitchRefused, "the bridge stays where it is, because "+l.Servers[server].Name+" cannot be used now: "+why)
	}
}

// tell tells how far the request has come.
func (l *Link) tell(state v1alpha1.SwitchState, message string) {
	l.wanted.pending = state == v1alpha1.SwitchPending
	l.Log.Info("requested switch", "request", l.wanted.text, "state", state, "message", message)
	l.Observer.Requested(&v1alpha1.RequestedSwitch{
		Request: l.wanted.text, State: state, Message: message, Time: metav1.NewMicroTime(time.Now()),
	})
}
