// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// watching returns a client that watches the Lease until the test ends.
func watching(t *testing.T, name string, change func(*rest.Config)) *Client {
	t.Helper()
	return watchWith(t, newClient(t, name, "observer", change))
}

func watchWith(t *testing.T, c *Client) *Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

func TestRun_Changes_AreObservedAtOnce(t *testing.T) {
	name := newLease(t)
	w := watching(t, name, nil)
	awaitRecord(t, w, "the first record", heldBy(""))
	a := newClient(t, name, "a", nil)
	held := must(acquire(t, a, read(t, a)))(t)
	got := awaitRecord(t, w, "the acquired Lease", heldBy("a"))
	if delay := got.Since.Sub(held.Since); delay < 0 || delay > time.Second {
		t.Errorf("observed %s after the request", delay)
	}
	must(a.Join(t.Context(), member(1)))(t)
	joined := awaitRecord(t, w, "the member", func(r Record) bool { return len(r.Members) == 1 })
	if !joined.Since.Equal(got.Since) {
		t.Error("a member in the list extends the validity")
	}
	must(a.Renew(t.Context(), held, nil))(t)
	renewed := awaitRecord(t, w, "the renewal", func(r Record) bool { return r.RenewTime.After(held.RenewTime) })
	if !renewed.Since.After(got.Since) {
		t.Error("a renewal does not extend the validity")
	}
}

// The clock of the holder has no influence.
func TestRun_HoldersClockDiffers_IsJudgedByTheOwnClock(t *testing.T) {
	name := newLease(t)
	w := watching(t, name, nil)
	a := newClient(t, name, "a", nil)
	must(a.write(t.Context(), read(t, a), operation{
		permitted: func(Record) bool { return true },
		applied:   never,
		change: func(_ Record, spec, _ map[string]any) {
			spec["holderIdentity"], spec["leaseDurationSeconds"] = "a", 15
			spec["renewTime"] = "2001-01-01T00:00:00.000000Z"
		},
	}))(t)
	got := awaitRecord(t, w, "the acquired Lease", heldBy("a"))
	if age := time.Since(got.Since); age > 10*time.Second || !got.Expires().After(time.Now()) {
		t.Errorf("the Lease is valid since %s", age)
	}
}

func TestRun_LeaseDeletedAndCreatedAgain_IsObserved(t *testing.T) {
	name := newLease(t)
	w := watching(t, name, nil)
	last := awaitRecord(t, w, "the first record", heldBy(""))
	l := stored(t, name)
	if err := server.Client.Delete(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	awaitRecord(t, w, "the deletion", func(r Record) bool { return r.Missing })
	for what, err := range map[string]error{
		"Get":     second(w.Get(t.Context())),
		"Acquire": second(acquire(t, w, last)),
		"Join":    second(w.Join(t.Context(), member(1))),
	} {
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "check that the operator runs") {
			t.Errorf("%s: %v", what, err)
		}
	}
	l.ResourceVersion, l.UID = "", ""
	if err := server.Client.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	again := awaitRecord(t, w, "the new Lease", func(r Record) bool { return !r.Missing })
	must(acquire(t, w, again))(t)
}

func second(_ Record, err error) error { return err }

func TestClient_WithoutRights_IsForbidden(t *testing.T) {
	name := newLease(t)
	expected := read(t, newClient(t, name, "a", nil))
	stranger := func(c *rest.Config) {
		other, err := server.AddUser("stranger")
		if err != nil {
			t.Fatal(err)
		}
		*c = *other
	}
	c := newClient(t, name, "a", stranger)
	if _, err := c.Get(t.Context()); !errors.Is(err, ErrForbidden) {
		t.Errorf("Get: %v", err)
	}
	if _, err := acquire(t, c, expected); !errors.Is(err, ErrForbidden) {
		t.Errorf("Acquire: %v", err)
	}
}

func TestClient_APIServerUnreachable_FailsInTimeAndRecovers(t *testing.T) {
	for name, test := range map[string]struct {
		outage func(t *testing.T, l *link, proxy *mqtttest.Proxy)
		atOnce bool // the error comes before the timeout
	}{
		"refuses": {func(t *testing.T, l *link, _ *mqtttest.Proxy) { l.redirect(mqtttest.FreeAddress(t)); l.cut() }, true},
		"resets": {func(t *testing.T, l *link, _ *mqtttest.Proxy) {
			l.redirect(faulty(t, mqtttest.CloseImmediately))
			l.cut()
		}, true},
		"mute":  {func(t *testing.T, l *link, _ *mqtttest.Proxy) { l.redirect(faulty(t, mqtttest.NeverAnswer)); l.cut() }, false},
		"hangs": {func(_ *testing.T, _ *link, proxy *mqtttest.Proxy) { proxy.BlackHole(true) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			lease := newLease(t)
			proxy := mqtttest.StartProxy(t, apiAddress(t), 0)
			l := link{address: strings.TrimPrefix(proxy.URL(), "mqtt://")}
			w := watchWith(t, newClientFor(t, lease, "observer", 2*time.Second, l.use))
			awaitRecord(t, w, "the first record", heldBy(""))
			held := must(acquire(t, w, read(t, w)))(t)
			test.outage(t, &l, proxy)
			for range 2 {
				started := time.Now()
				_, err := w.Renew(t.Context(), held, nil)
				took := time.Since(started)
				if !errors.Is(err, ErrUnreachable) || took > timeout+5*time.Second || took < timeout && !test.atOnce {
					t.Errorf("after %s: %v", took, err)
				}
			}
			l.redirect("") // the connections that hang remain
			must(w.Renew(t.Context(), held, nil))(t)
			for len(w.Records()) > 0 {
				<-w.Records()
			}
			other := newClient(t, lease, "b", nil)
			must(acquire(t, other, read(t, other)))(t)
			awaitRecord(t, w, "the next holder", heldBy("b"))
		})
	}
}

// A watch whose connection is lost without an error is repeated after the duration of the Lease.
func TestRun_ConnectionLostSilently_IsWatchedAgain(t *testing.T) {
	name := newLease(t)
	proxy := mqtttest.StartProxy(t, apiAddress(t), 0)
	l := link{address: strings.TrimPrefix(proxy.URL(), "mqtt://")}
	w := watchWith(t, newClientFor(t, name, "observer", 2*time.Second, l.use))
	awaitRecord(t, w, "the first record", heldBy(""))
	proxy.BlackHole(true)
	l.redirect("")
	lost := time.Now()
	a := newClient(t, name, "a", nil)
	must(acquire(t, a, read(t, a)))(t)
	awaitRecord(t, w, "the acquired Lease", heldBy("a"))
	t.Logf("observed %s after the connection was lost", time.Since(lost))
}

// faulty returns the address of a server with a fault.
func faulty(t *testing.T, fault mqtttest.Fault) string {
	t.Helper()
	return strings.TrimPrefix(mqtttest.StartFaulty(t, fault).URL(), "mqtt://")
}

func TestObserver_OlderVersion_IsIgnored(t *testing.T) {
	at := func(version, holder string) Record { return Record{version: version, Holder: holder} }
	o := newObserver("a")
	o.observe(at("10", "a"))
	o.observe(at("9", "b"))
	if got := <-o.records; got.Holder != "a" {
		t.Errorf("the latest record is of version %s", got.version)
	}
	if got := o.observe(at("8", "b")); got.Holder != "b" || len(o.records) > 0 {
		t.Errorf("the answer of a request is %+v", got)
	}
	// The cache of an API server may be behind. A read that began later decides.
	object := []byte(`{"metadata":{"resourceVersion":"3"},"spec":{"holderIdentity":"c"}}`)
	for _, first := range []bool{false, true, false} {
		if mustRead, err := o.event(kubeapi.Event{Type: "ADDED", First: first, Object: object}); err != nil || len(o.records) > 0 || mustRead != (first || o.behind) {
			t.Errorf("a watch replaces a later record; the Lease is to be read: %t, %v", mustRead, err)
		}
	}
	o.answer(at("3", "c"), time.Now().Add(-time.Hour))
	if len(o.records) > 0 {
		t.Error("a read that began before replaces a later record")
	}
	o.answer(at("3", "c"), time.Now())
	if got := <-o.records; got.Holder != "c" || o.behind {
		t.Errorf("the latest record is of version %s", got.version)
	}
}

func TestObserver_Records_HasTheLatest(t *testing.T) {
	o := newObserver("a")
	for _, version := range []string{"1", "2", "3"} {
		o.observe(Record{version: version})
	}
	if got := <-o.records; got.version != "3" || len(o.records) > 0 {
		t.Errorf("received version %s", got.version)
	}
}

func TestNew_ImproperDuration_IsRefused(t *testing.T) {
	for _, d := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		if _, err := New(&rest.Config{}, Config{Duration: d}); err == nil {
			t.Errorf("a duration of %s is accepted", d)
		}
	}
}
