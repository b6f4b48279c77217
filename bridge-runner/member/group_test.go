// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// All tests share the API server. It is nil if none can run.
var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	}))
}

// leaseDuration is the shortest duration of a Lease.
const leaseDuration = 3 * time.Second

// groupOf are members with a Lease in the API server.
type groupOf struct {
	t     *testing.T
	lease string
	// firewalled makes the addresses of the members refuse connections, as a firewall does.
	firewalled bool
	// links are the connections of the members to the API server.
	links []*mqtttest.Proxy

	// refuses makes the API server answer reads and refuse writes, as with a full etcd.
	refuses atomic.Bool

	mu sync.Mutex // guards requests
	// requests is the number of requests of all members to the API server, by method, without watches.
	requests map[string]int
}

// newGroup creates a Lease, as the operator does.
func newGroup(t *testing.T) *groupOf {
	t.Helper()
	apiserver.Need(t, server)
	g := &groupOf{t: t, requests: map[string]int{}, lease: strings.ToLower(strings.ReplaceAll(t.Name(), "_", "-"))}
	g.create()
	t.Cleanup(func() { _ = server.Client.Delete(context.Background(), g.object()) })
	return g
}

func (g *groupOf) object() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: g.lease}}
}

func (g *groupOf) create() {
	g.t.Helper()
	if err := server.Client.Create(g.t.Context(), g.object()); err != nil {
		g.t.Fatal(err)
	}
}

// stored returns the Lease.
func (g *groupOf) stored() *coordinationv1.Lease {
	g.t.Helper()
	l := g.object()
	if err := server.Client.Get(g.t.Context(), client.ObjectKeyFromObject(l), l); err != nil {
		g.t.Fatal(err)
	}
	return l
}

// waitHolder waits until a member holds the Lease in a term.
func (g *groupOf) waitHolder(x *machine, term int32) {
	g.t.Helper()
	mqtttest.Eventually(g.t, timeout, "the holder of the Lease", func() error {
		l := g.stored()
		holder, transitions := "", int32(0)
		if l.Spec.HolderIdentity != nil && l.Spec.LeaseTransitions != nil {
			holder, transitions = *l.Spec.HolderIdentity, *l.Spec.LeaseTransitions
		}
		if holder != identity(x.role.Self) || transitions != term {
			return fmt.Errorf("%s holds the Lease in term %d; want %s in %d", holder, transitions, identity(x.role.Self), term)
		}
		return nil
	})
}

// add returns a new member, which runs.
func (g *groupOf) add(pod string) *machine {
	g.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	address := listener.Addr().String()
	if g.firewalled {
		address = mqtttest.FreeAddress(g.t)
	}
	x := &machine{t: g.t, listener: listener, calls: make(chan string, 100), ended: make(chan error, 1)}
	certificate, err := peer.NewCertificate()
	if err != nil {
		g.t.Fatal(err)
	}
	x.Member, err = New(Config{
		Certificate: certificate, Bridges: x, OnChange: func(Status) {}, Log: slog.New(slog.DiscardHandler),
		Lease: &LeaseConfig{
			Cluster: g.connect(), Namespace: metav1.NamespaceDefault, Name: g.lease, Duration: leaseDuration,
			Pod: pod, Node: "node-of-" + pod, Address: netip.MustParseAddrPort(address),
		},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	x.run()
	return x
}

// connect returns the configuration of a member whose connection to the API server can be interrupted.
func (g *groupOf) connect() *rest.Config {
	g.t.Helper()
	u, err := url.Parse(server.Admin.Host)
	if err != nil {
		g.t.Fatal(err)
	}
	link := mqtttest.StartProxy(g.t, u.Host, 0)
	g.links = append(g.links, link)
	cluster := rest.CopyConfig(server.Admin)
	cluster.Host = strings.Replace(link.URL(), "mqtt://", "https://", 1)
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{g, next} })
	return cluster
}

// counting counts requests.
type counting struct {
	group *groupOf
	next  http.RoundTripper
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") == "" {
		c.group.mu.Lock()
		c.group.requests[r.Method]++
		c.group.mu.Unlock()
	}
	if c.group.refuses.Load() && r.Method == http.MethodPut {
		return &http.Response{
			StatusCode: http.StatusInternalServerError, Status: "500 etcdserver: mvcc: database space exceeded",
			Header: http.Header{}, Body: http.NoBody, Request: r,
		}, nil
	}
	return c.next.RoundTrip(r)
}

// count returns the number of requests with a method since the latest call for it.
func (g *groupOf) count(method string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.requests[method]
	g.requests[method] = 0
	return n
}

// interrupt makes the API server unreachable for a member: its requests hang.
func (g *groupOf) interrupt(members ...int) {
	for _, i := range members {
		g.links[i].BlackHole(true)
	}
}

func (g *groupOf) heal() {
	for _, l := range g.links {
		l.BlackHole(false)
		l.Cut()
	}
}

// addTwo returns an active member with its warm standby.
func (g *groupOf) addTwo() (active, standby *machine) {
	g.t.Helper()
	active = g.add("pod-a")
	active.want("activate Started")
	standby = g.add("pod-b")
	g.waitStandby(active, standby)
	return active, standby
}

// waitStandby waits until a member is the warm standby of the other one.
func (g *groupOf) waitStandby(active, standby *machine) {
	g.t.Helper()
	standby.waitStatus(func(s Status) bool { return s.State == role.Standby && s.Warm && s.Peer.State == role.Active })
	active.waitStatus(func(s Status) bool {
		return s.Term > 0 && len(s.Members) == 1 && s.Members[0].Warm && s.Members[0].State == role.Standby
	})
}

// unchanged checks that no member changes its role for a time.
func (g *groupOf) unchanged(d time.Duration, members ...*machine) {
	g.t.Helper()
	time.Sleep(d)
	for _, x := range members {
		select {
		case call := <-x.calls:
			g.t.Fatalf("%s: %s", x.role.Self.Pod, call)
		default:
		}
	}
}
