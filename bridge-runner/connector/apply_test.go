// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// keep makes these servers, given by their indexes in list, the list of the settings.
func keep(list []Server, indexes ...int) func(*Settings) {
	return func(s *Settings) {
		s.Servers = nil
		for _, i := range indexes {
			s.Servers = append(s.Servers, list[i])
		}
	}
}

// newConnected returns a running side that is connected to its first server.
func newConnected(t *testing.T, servers int) (x *side, a *script.Conn) {
	t.Helper()
	x = newSide(t, servers)
	x.run()
	a = x.connect(0)
	x.want("connected 0")
	return x, a
}

// leave waits for the DISCONNECT of the bridge and closes the connection.
func leave(c *script.Conn) {
	c.Want("DISCONNECT")
	_ = c.Close()
}

func TestApply_ServersReordered_ConnectionStays(t *testing.T) {
	x, a := newConnected(t, 2)
	x.change(keep(x.Servers, 1, 0))
	x.want("servers ba [1 0]")
	x.force("b")
	_ = x.connect(1)
	x.want("switched 0")
	leave(a)
}

func TestApply_ServersRenamed_ConnectionStaysAndRequestsUseTheNames(t *testing.T) {
	x, a := newConnected(t, 2)
	x.request("a")
	x.want("a: Done")
	x.change(func(s *Settings) { s.Servers[0].Name, s.Servers[1].Name = "b", "a" })
	x.want("no request", "servers ba [0 1]", "a: Pending") // a is the other server now
	pass(x.accept(1, probeID))
	_ = x.connect(1)
	x.want("switched 1", "a: Done")
	leave(a)
	x.change(func(s *Settings) { s.Servers[1].Name = "c" })
	x.want("no request", "servers bc [0 1]")
	if err := x.Request(&Request{Server: "a"}); err == nil {
		t.Error("an earlier name can be requested")
	}
}

func TestPrevious_NamesAndURLs_IdentifyServers(t *testing.T) {
	list := func(text string) (all []Server) {
		for server := range strings.FieldsSeq(text) {
			name, url, _ := strings.Cut(server, "=")
			all = append(all, Server{Name: name, URL: url})
		}
		return all
	}
	for _, c := range []struct {
		before, servers string
		want            []int
	}{
		{"a=1 b=2", "b=2 c=3 a=1", []int{1, noServer, 0}},
		{"a=1 b=2", "a=2 b=1", []int{1, 0}},    // the names are exchanged
		{"a=1", "a=2", []int{noServer}},        // another server with the same name
		{"a=1", "b=1", []int{0}},               // another name
		{"a=1 b=1", "b=1 a=1", []int{1, 0}},    // the URLs differ in their queries
		{"a=1 b=1", "c=1 b=1", []int{0, 1}},    // one of them has another name
		{"a=1", "b=1 c=1", []int{0, noServer}}, // a server of the list is one server at most
		{"a=1 b=1", "c=1 a=1", []int{1, 0}},    // the name decides first
		{"a=1 b=2", "b=1 c=2", []int{0, 1}},    // a name has moved
	} {
		if got := Previous(list(c.servers), list(c.before)); !slices.Equal(got, c.want) {
			t.Errorf("%s after %s: %v, want %v", c.servers, c.before, got, c.want)
		}
	}
}

func TestApply_SameSettings_ConnectionStays(t *testing.T) {
	x, a := newConnected(t, 1)
	for range 3 {
		x.change(func(s *Settings) { s.Failover.RetryInitial += time.Second })
	}
	_ = a.Close()
	_ = x.connect(0)
	x.want("lost 0", "connected 0")
	x.wantNone("replaced")
}

func TestApply_ServerInUseRemoved_SwitchesWhenAnotherIsConnected(t *testing.T) {
	x, a := newConnected(t, 2)
	x.change(keep(x.Servers, 1))
	x.want("servers ba [1 0]", "paused")
	_ = x.connect(1)
	x.want("replaced", "switched 0", "servers b [0]")
	leave(a)
}

func TestApply_ServerInUseRemovedAndOthersFail_StaysInUse(t *testing.T) {
	x := newSide(t, 3)
	list := x.Servers
	x.Servers = list[:2]
	x.run()
	a := x.connect(0)
	x.want("connected 0")
	x.change(keep(list, 1))
	_ = x.accept(1, bridgeID).Close()
	x.want("resumed", "failed 0")
	x.change(keep(list, 1, 2))
	_ = x.connect(2) // b has just failed
	x.want("servers bca [0 -1 1]", "switched 1", "servers bc [0 1]")
	leave(a)
}

func TestApply_RemovedServerLost_ConnectsToAnother(t *testing.T) {
	x, a := newConnected(t, 2)
	x.change(keep(x.Servers, 1))
	_ = x.accept(1, bridgeID).Close()
	x.want("failed 0")
	_ = a.Close()
	x.want("lost 1", "down", "servers b [0]")
	_ = x.connect(1)
	x.want("connected 0")
}

// The state of a session must not be used by two sessions; NewSession checks it.
func TestApply_RemovedServerIsBack_IsKept(t *testing.T) {
	x, a := newConnected(t, 2)
	list := x.Servers
	x.change(keep(list, 1))
	_ = x.accept(1, bridgeID).Close()
	x.want("failed 0")
	x.change(keep(list, 0, 1))
	x.want("servers ab [1 0]")
	_ = a.Close()
	x.want("lost 0")
}

func TestApply_OtherURL_IsAnotherServer(t *testing.T) {
	x, a := newConnected(t, 1)
	moved := x.addServer()
	moved.Name = "a"
	x.change(func(s *Settings) { s.Servers = []Server{moved} })
	_ = x.connect(1)
	x.want("servers aa [-1 0]", "switched 0", "servers a [0]")
	leave(a)
}

func TestApply_DuringUselessAttempt_CancelsIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Settings)
		next   int // the server that is tried next
	}{
		{"the server is removed", func(s *Settings) { s.Servers = s.Servers[1:] }, 1},
		{"its connection has other settings", func(s *Settings) { s.Servers[0].Connection = "other" }, 0},
		{"the session has other settings", func(s *Settings) { s.Session = "other" }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newSide(t, 2)
			x.run()
			x.accept(0, bridgeID) // it never answers
			x.change(c.change)
			_ = x.connect(c.next)
			x.want("connected 0")
			x.wantNone("failed 0")
		})
	}
}

func TestApply_DuringSwitchToRemovedServer_KeepsServerInUse(t *testing.T) {
	x, a := newConnected(t, 2)
	x.force("b")
	x.accept(1, bridgeID) // it never answers
	x.want("paused")
	x.change(keep(x.Servers, 0))
	x.want("resumed", "no request", "servers a [0]")
	_ = a.Close()
	x.want("lost 0")
	x.wantNone("failed 1")
}

func TestApply_DuringPauseBetweenRounds_ConnectsAtOnce(t *testing.T) {
	x := newSide(t, 2)
	list := x.Servers
	x.Servers = list[:1]
	x.Failover.RetryInitial, x.Failover.RetryMax = time.Hour, time.Hour
	x.run()
	_ = x.accept(0, bridgeID).Close()
	x.want("failed 0")
	x.change(keep(list, 1, 0))
	_ = x.connect(1)
	x.want("connected 0")
}

func TestApply_ProbeUnderWay_CountsForItsServerOnly(t *testing.T) {
	x := newSide(t, 3)
	list := x.Servers
	x.Servers = list[:2]
	x.Failover.ProbeInterval = often
	x.run()
	_ = x.connect(0)
	probe := x.accept(1, probeID)
	x.change(keep(list, 0, 2)) // b is removed, and c has its place
	x.want("servers ac [0 -1]")
	_ = probe.Close()
	pass(x.accept(2, probeID))
	for event := range x.events {
		if strings.HasPrefix(event, "probed") {
			if event != "probed 1: true" {
				t.Errorf("the first result is %q", event)
			}
			return
		}
	}
}

func TestApply_RequestedServer_IsFollowed(t *testing.T) {
	x := newSide(t, 3)
	list := x.Servers
	x.run()
	_ = x.connect(0)
	x.want("connected 0")
	x.request("b")
	probe := x.accept(1, probeID)
	x.change(keep(list, 0, 2, 1))
	x.want("servers acb [0 2 1]")
	_ = probe.Close()
	x.want("b: Refused")

	x.change(keep(list, 0, 2))
	x.want("no request")
	if err := x.Request(&Request{Server: "b"}); err == nil {
		t.Error("a removed server can be requested")
	}

	x.force("c")
	c := x.connect(2)
	x.want("c: Done")
	moved := list[2]
	moved.URL = "mqtt://moved"
	x.change(func(s *Settings) { s.Servers[1] = moved })
	_ = x.connect(2) // the same scripted server; with another URL it is another server
	x.want("no request", "c: Pending", "c: Done")
	leave(c)
}
