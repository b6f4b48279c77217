// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// changingTopics are the first levels of the topics whose rules the events change.
var changingTopics = [2]string{up: "out", down: "in"}

// changeRules replaces all rules of both directions after the first with the given rules. Their
// filters are below changingTopics.
func changeRules(rules ...v1alpha1.Rule) func(*spec) {
	return func(s *spec) {
		for d, all := range []*[]v1alpha1.Rule{&s.LocalToRemote, &s.RemoteToLocal} {
			next := (*all)[:1:1]
			for _, r := range rules {
				r.QoS = ptr.To[int32](2)
				r.Filter = changingTopics[d] + "/" + r.Filter
				r.Exclude = nil
				for _, e := range rules[0].Exclude {
					r.Exclude = append(r.Exclude, changingTopics[d]+"/"+e)
				}
				next = append(next, r)
			}
			*all = next
		}
	}
}

// withRules prepares a scenario with these rules.
func withRules(rules ...v1alpha1.Rule) func(*world) {
	return func(w *world) { changeRules(rules...)(&w.manifest.Spec) }
}

// starting returns an event that is over when messages of all changing streams arrive.
func starting(e event) event {
	act := e.act
	e.act = func(w *world) {
		began := time.Now()
		act(w)
		for _, s := range w.changing {
			must(w, s.waitFrom(w.active, began))
		}
	}
	return e
}

// bothSides changes both sides of a bridge.
func bothSides(edit func(*v1alpha1.Side)) func(*spec) {
	return func(s *spec) {
		edit(&s.Local)
		edit(&s.Remote)
	}
}

// withoutFailback keeps the bridge on a server of lower preference.
func (w *world) withoutFailback() {
	w.manifest.Spec.Remote.Failover = &v1alpha1.Failover{Failback: &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}}
}

// withDisk gives the bridge a buffer on disk.
func (w *world) withDisk() {
	w.manifest.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi"))}}
}

// servers returns an event that changes the list of servers of the remote side.
func servers(name string, list ...int) event {
	return event{name: name, limit: inPlace, act: func(w *world) { w.setServers(list...) }}
}

func (w *world) setServers(list ...int) {
	w.Helper()
	w.update(func(s *spec) {
		s.Remote.Primary, s.Remote.Backups = w.server(list[0]), nil
		for _, i := range list[1:] {
			s.Remote.Backups = append(s.Remote.Backups, w.server(i))
		}
	})
}

// leaving returns an event that is over when the bridge uses another remote server.
func leaving(e event, next int) event {
	act := e.act
	e.limit = reconnect
	e.act = func(w *world) {
		act(w)
		w.active = w.remotes[next].Name
		w.runner.WaitActive(w.active, eventTimeout)
	}
	return e
}

// visitAll makes the bridge use each remote server that still holds messages for it.
func (w *world) visitAll() {
	w.Helper()
	for i, r := range w.remotes {
		if w.active != r.Name && w.visited(r.Name) {
			w.setServers(i)
			w.active = r.Name
			w.runner.WaitActive(w.active, eventTimeout)
		}
	}
}

// visited reports whether the bridge has used a remote server.
func (w *world) visited(remote string) bool {
	for _, s := range w.streams {
		for _, p := range s.parts {
			if p.source == remote && p.collector.Count() > 0 {
				return true
			}
		}
	}
	return false
}

// login is the Secret with the user name and the password of the bridge.
const login = "login"

// logins returns the two logins of the bridge. The brokers accept both, because Mosquitto ends the
// connections of a user whose password changes.
func logins() map[string]string {
	return map[string]string{"bridge-0": "password-0", "bridge-1": "password-1"}
}

// withLogin prepares a scenario in which the bridge needs a password on both sides.
func withLogin(policy *v1alpha1.ReconnectPolicy) func(*world) {
	return func(w *world) {
		bothSides(func(s *v1alpha1.Side) { s.Credentials, s.Reconnect = mqtttest.Login(login), policy })(&w.manifest.Spec)
	}
}

// setLogin gives the bridge one of its logins.
func (w *world) setLogin(i int) {
	w.Helper()
	w.runner.SetFile(login, "username", fmt.Sprint("bridge-", i))
	w.runner.SetFile(login, "password", fmt.Sprint("password-", i))
}

// rotate gives the bridge the other login.
func (w *world) rotate() {
	w.Helper()
	w.names++
	w.setLogin(w.names % len(logins()))
	time.Sleep(3 * time.Second) // no event can be awaited: the test shows that nothing happens
}

// rotateAndReconnect gives the bridge the other login, and waits until both sides have reconnected.
func (w *world) rotateAndReconnect() {
	w.Helper()
	local, remote := w.reconnections("local"), w.reconnections("remote")
	w.rotate()
	w.waitReconnected("local", local+1)
	w.waitReconnected("remote", remote+1)
}

// reconnecting returns an event that changes a setting of the connections of one side.
func reconnecting(side, name string, edit func(*spec)) event {
	return event{name: name, limit: reconnect, act: func(w *world) {
		before := w.reconnections(side)
		w.update(edit)
		w.waitReconnected(side, before+1)
	}}
}

// newClientID returns a client identifier that the scenario has not used.
func (w *world) newClientID() string {
	w.names++
	return fmt.Sprint("client-", w.names)
}

// transferring returns an event that changes a client identifier. The messages that arrive while both
// sessions are subscribed arrive twice.
func transferring(side, name string, edit func(*world)) event {
	return event{name: name, limit: transfer, mayRepeat: true, act: func(w *world) {
		w.update(func(*spec) { edit(w) })
		w.runner.WaitStatus(eventTimeout, "the session of the earlier client identifier has ended", func(v1alpha1.MQTTBridgeStatus) error {
			if n := w.logged("session of an unused client identifier has ended", side); n < w.transfers[side]+1 {
				return fmt.Errorf("%d sessions have ended", n)
			}
			return nil
		})
		w.transfers[side]++
	}}
}

// reconnections returns the number of reconnections to the server in use that a side has made.
func (w *world) reconnections(side string) int {
	return w.logged("msg=reconnected", side)
}

// logged returns the number of lines of a side's log that contain a text.
func (w *world) logged(text, side string) (n int) {
	for l := range strings.Lines(w.runner.Log()) {
		if strings.Contains(l, text) && strings.Contains(l, "side="+side) {
			n++
		}
	}
	return n
}

func (w *world) waitReconnected(side string, n int) {
	w.Helper()
	mqtttest.Eventually(w, eventTimeout, fmt.Sprintf("the %s side has reconnected %d times", side, n), func() error {
		if got := w.reconnections(side); got < n {
			return fmt.Errorf("it has reconnected %d times", got)
		}
		return nil
	})
}
