// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// site has a local and a remote broker, with a client on each, for the bridges of a host.
type site struct {
	local, remote *mqtttest.Broker
	near, far     *mqtttest.Client5
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		local:  mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true}),
		remote: mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true}),
	}
	s.near, s.far = mqtttest.StartClient5(t, s.local, "near"), mqtttest.StartClient5(t, s.remote, "far")
	s.far.Subscribe("#")
	return s
}

// bridge returns a bridge that forwards the topics below its name.
func (s *site) bridge(name string) *v1alpha1.MQTTBridge {
	b := manifest(name, s.local.URL(), s.remote.URL())
	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: name + "/#"}}
	return b
}

// send publishes a message on the local side, and waits until it arrives on the remote side.
func (s *site) send(topic string) {
	s.near.Publish(&paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")})
	s.far.Wait(topic, 1, eventTimeout)
}

// refusedWith returns a check that the content of a file is refused.
func refusedWith(text string) func(mqtttest.HostFile) error {
	return func(f mqtttest.HostFile) error {
		if text == "" && f.Error != "" || !strings.Contains(f.Error, text) {
			return fmt.Errorf("the error is %q", f.Error)
		}
		return nil
	}
}

func noEntry(f mqtttest.HostFile) error {
	if f.File != "" {
		return errors.New("the file has an entry")
	}
	return nil
}

// series returns the number of series of a bridge.
func series(h *mqtttest.Host, bridge string) (n int) {
	for _, sample := range h.Metrics() {
		if sample.Labels["namespace"] == "test" && sample.Labels["bridge"] == bridge {
			n++
		}
	}
	return n
}

func TestHost_AddedChangedAndRemovedFiles_AffectOnlyTheirBridge(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.bridge("b")
	h := mqtttest.NewRaceHost(t)
	h.Put(s.bridge("a"))
	h.Put(b)
	h.Start()
	since := h.WaitConnected("a.yaml", eventTimeout).Status.Remote.Active.Since
	h.WaitConnected("b.yaml", eventTimeout)
	s.send("a/1")
	s.send("b/1")
	if code := h.Probe("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}

	h.Put(s.bridge("c"))
	h.WaitConnected("c.yaml", eventTimeout)
	s.send("c/1")

	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "changed/#"}}
	b.Generation = 7
	h.Put(b)
	h.WaitFile("b.yaml", eventTimeout, "the change is applied", func(f mqtttest.HostFile) error { return runs(7)(*f.Status) })
	h.WaitConnected("b.yaml", eventTimeout)
	s.send("changed/1")

	if series(h, "c") == 0 {
		t.Error("the bridge c has no series")
	}
	h.Remove("c.yaml")
	h.WaitFile("c.yaml", eventTimeout, "removed", noEntry)
	mqtttest.Eventually(t, eventTimeout, "the series are removed", func() error {
		if n := series(h, "c"); n > 0 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	})
	if got := h.Metrics().Sum("mqttbridge_bridges"); got != 2 {
		t.Errorf("mqttbridge_bridges is %v, want 2", got)
	}
	// The session stays on the server, as at the end of a runner with one bridge.
	s.near.Publish(&paho.Publish{Topic: "c/2", QoS: 1, Payload: []byte("x")})
	h.Put(s.bridge("c"))
	s.far.Wait("c/2", 1, eventTimeout)

	if got := h.WaitConnected("a.yaml", eventTimeout).Status.Remote.Active.Since; !got.Equal(&since) {
		t.Errorf("the connection of the bridge a was replaced at %v", got)
	}
	s.send("a/2")
}

func TestHost_InvalidAndDuplicateFiles_AreRefusedUntilCorrected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := mqtttest.NewRaceHost(t)
	h.PutText("broken.yaml", "kind: [")
	h.Put(s.bridge("a"))
	again := s.bridge("a")
	again.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "again/#"}}
	h.PutAs("again.yaml", again) // in alphabetical order after a.yaml
	outside := s.bridge("outside")
	outside.Namespace = "../test"
	h.Put(outside)
	h.Start()
	h.WaitConnected("a.yaml", eventTimeout)
	h.WaitFile("broken.yaml", eventTimeout, "refused", refusedWith("broken.yaml"))
	h.WaitFile("again.yaml", eventTimeout, "refused", refusedWith("the bridge test/a is already in the file a.yaml"))
	h.WaitFile("outside.yaml", eventTimeout, "refused", refusedWith("metadata.namespace"))
	if got := h.Metrics().Sum("mqttbridge_refused_manifests"); got != 3 {
		t.Errorf("mqttbridge_refused_manifests is %v, want 3", got)
	}

	b := s.bridge("b")
	h.PutAs("broken.yaml", b)
	h.WaitConnected("broken.yaml", eventTimeout)
	s.send("b/1")
	h.PutText("broken.yaml", "kind: [")
	f := h.WaitFile("broken.yaml", eventTimeout, "refused", refusedWith("broken.yaml"))
	if f.Name != "b" || f.Status.Runners[0].Refused == nil {
		t.Errorf("%+v", f)
	}
	s.send("b/2") // by the previous manifest

	h.Remove("a.yaml")
	h.WaitConnected("again.yaml", eventTimeout)
	h.WaitFile("again.yaml", eventTimeout, "applied", refusedWith(""))
	s.send("again/1")
}

func TestHost_SameClientIDAtOneServer_IsLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.bridge("a"), s.bridge("b")
	a.Spec.Remote.ClientID, b.Spec.Remote.ClientID = "same", "same"
	h := mqtttest.StartHost(t, a, b)
	mqtttest.Eventually(t, eventTimeout, "the log names both bridges", func() error {
		for line := range strings.Lines(h.Log()) {
			if strings.Contains(line, "two bridges use the same client identifier") && strings.Contains(line, "clientID=same") &&
				strings.Contains(line, "bridge=test/b") && strings.Contains(line, "other=test/a") {
				return nil
			}
		}
		return errors.New("no such line")
	})
}

// Bridges of different namespaces read different Secrets, and each bridge has a buffer of its own.
func TestHost_SecretsAndBuffers_AreSeparate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	guarded := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "guarded", Users: map[string]string{"bridge": "secret"}})
	h := mqtttest.NewHost(t)
	h.SetFile("test/login", "username", "bridge")
	h.SetFile("test/login", "password", "secret")
	for _, namespace := range []string{"test", "other"} {
		b := s.bridge("b")
		b.Namespace = namespace
		b.Spec.Remote.Primary.URL, b.Spec.Remote.Credentials = guarded.URL(), mqtttest.Login("login")
		b.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi"))}}
		h.PutAs(namespace+".yaml", b)
	}
	h.Start()
	h.WaitConnected("test.yaml", eventTimeout)
	h.WaitFile("other.yaml", eventTimeout, "its Secret is missing", func(f mqtttest.HostFile) error {
		if e := f.Status.Remote.Servers[0].LastError; e == nil || e.Reason != v1alpha1.ReasonReferenceMissing {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	for _, namespace := range []string{"test", "other"} {
		mqtttest.Eventually(t, eventTimeout, "the bridge has a directory of its own", func() error {
			_, err := os.Stat(filepath.Join(h.DataDir(), namespace, "b", "localToRemote"))
			return err
		})
	}
}

func TestHost_DeletedBridge_EndsItsSessionsAndTheOthersContinue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.bridge("a"), s.bridge("b")
	h := mqtttest.StartHost(t, a, b)
	h.WaitConnected("a.yaml", eventTimeout)
	h.WaitConnected("b.yaml", eventTimeout)
	a.DeletionTimestamp, a.Spec.DeletionPolicy = ptr.To(metav1.Now()), ptr.To(v1alpha1.DeletionEndSessions)
	h.Put(a)
	h.WaitFile("a.yaml", eventTimeout, "deleted", func(f mqtttest.HostFile) error {
		if d := f.Status.Deletion; d == nil || d.State != v1alpha1.DeletionComplete {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
	wantNoSession(t, localSide, a, s.local)
	wantNoSession(t, remoteSide, a, s.remote)
	mqtttest.Eventually(t, eventTimeout, "one bridge is left", func() error {
		if n := h.Metrics().Sum("mqttbridge_bridges"); n != 1 {
			return fmt.Errorf("%v bridges", n)
		}
		return nil
	})
	s.send("b/1")
	a.DeletionTimestamp = nil
	h.Put(a)
	h.WaitConnected("a.yaml", eventTimeout)
	s.send("a/1")
}

func TestHost_FiftyBridges_DrainTogetherOnSIGTERM(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const bridges = 50
	var all []*v1alpha1.MQTTBridge
	for i := range bridges {
		all = append(all, s.bridge(fmt.Sprintf("b%02d", i)))
	}
	h := mqtttest.StartHost(t, all...)
	for _, b := range all {
		h.WaitConnected(b.Name+".yaml", eventTimeout)
	}
	for _, b := range all {
		s.near.Publish(&paho.Publish{Topic: b.Name + "/1", QoS: 1, Payload: []byte("x")})
	}
	code, took := h.Terminate()
	if code != 0 || took > 12*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	h.Start() // the messages that were not forwarded are still with the source
	for _, b := range all {
		s.far.Wait(b.Name+"/1", 1, eventTimeout)
	}
}
