// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const namespace = metav1.NamespaceDefault

// All tests share the API server, which is nil if none can run, and a user. newLease grants the user
// the rights of a member.
var (
	server *apiserver.Server
	asUser *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		if server = s; server == nil {
			return nil
		}
		var err error
		asUser, err = s.AddUser("member")
		return err
	}))
}

// newLease creates a Lease as the operator does, with the rights of a member, and returns its name.
func newLease(t *testing.T) string {
	t.Helper()
	c := apiserver.Need(t, server).Client
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	for _, object := range []client.Object{
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace,
			Labels: map[string]string{"app": "mqttbridge"}, Annotations: map[string]string{"example.com/note": "kept"},
		}},
		&rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
				ResourceNames: []string{name}, Verbs: []string{"get", "watch", "update"},
			}},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "member"}},
		},
	} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := client.IgnoreNotFound(c.Delete(context.Background(), object)); err != nil {
				t.Error(err)
			}
		})
	}
	apiserver.Eventually(t, "the rights of the member", func(ctx context.Context) (bool, error) {
		_, err := newClient(t, name, "waiting", nil).Get(ctx)
		return err == nil, nil
	})
	return name
}

// timeout is the timeout of a client's operations.
const timeout = 2 * time.Second

// newClient returns a client with the rights of a member. change may change its connection.
func newClient(t *testing.T, name, identity string, change func(*rest.Config)) *Client {
	t.Helper()
	return newClientFor(t, name, identity, 15*time.Second, change)
}

func newClientFor(t *testing.T, name, identity string, duration time.Duration, change func(*rest.Config)) *Client {
	t.Helper()
	apiserver.Need(t, server)
	cluster := rest.CopyConfig(asUser)
	if change != nil {
		change(cluster)
	}
	c, err := New(cluster, Config{
		Namespace: namespace, Name: name, Identity: identity,
		Duration: duration, Timeout: timeout, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read reads the Lease, and fails the test if that fails.
func read(t *testing.T, c *Client) Record {
	t.Helper()
	return must(c.Get(t.Context()))(t)
}

// acquire acquires the Lease in the next term.
func acquire(t *testing.T, c *Client, expected Record) (Record, error) {
	t.Helper()
	return c.Acquire(t.Context(), expected, expected.Term+1, nil)
}

// must returns a function that fails the test if there is an error.
func must(r Record, err error) func(*testing.T) Record {
	return func(t *testing.T) Record {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// stored returns the Lease in the API server.
func stored(t *testing.T, name string) *coordinationv1.Lease {
	t.Helper()
	l := &coordinationv1.Lease{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, l); err != nil {
		t.Fatal(err)
	}
	return l
}

// apiAddress returns the host and port of the API server.
func apiAddress(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(asUser.Host)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// awaitRecord waits for a record.
func awaitRecord(t *testing.T, c *Client, what string, wanted func(Record) bool) Record {
	t.Helper()
	limit := time.After(apiserver.Timeout)
	for {
		select {
		case r := <-c.Records():
			if wanted(r) {
				return r
			}
		case <-limit:
			t.Fatalf("%s: not within %s", what, apiserver.Timeout)
		}
	}
}

// heldBy returns a function that reports whether the identity holds the Lease.
func heldBy(identity string) func(Record) bool {
	return func(r Record) bool { return r.Holder == identity }
}

func member(i int) Member {
	return Member{
		Identity: fmt.Sprintf("member-%d", i), Pod: fmt.Sprintf("pod-%d", i), Node: "node", Address: fmt.Sprintf("10.0.0.%d:7883", i),
		Fingerprint: "f", Started: time.Unix(int64(1000+i), 0).UTC(),
	}
}

// link is the connection of a client to the API server, which a test can change.
type link struct {
	mu      sync.Mutex // guards the fields below
	address string     // instead of the API server's, unless empty
	conns   []net.Conn
}

// use makes a client connect by the link.
func (l *link) use(cluster *rest.Config) {
	cluster.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		l.mu.Lock()
		if l.address != "" {
			address = l.address
		}
		l.mu.Unlock()
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
		}
		return c, err
	}
}

// redirect makes later connections use another address.
func (l *link) redirect(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = address
}

// cut ends the present connections.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// losing is a transport that drops the answers to writes.
type losing struct {
	next http.RoundTripper
	mu   sync.Mutex // guards lose
	lose int        // the number of answers to drop
}

func (l *losing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil || req.Method != http.MethodPut {
		return resp, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose == 0 {
		return resp, nil
	}
	l.lose--
	_ = resp.Body.Close()
	return nil, fmt.Errorf("the answer %s is lost", resp.Status)
}
