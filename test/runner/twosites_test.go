// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// place is one of two sites with a local and a remote server, and a runner, which may not run.
type place struct {
	plant, cloud *mqtttest.Broker
	manifest     *v1alpha1.MQTTBridge
	runner       *mqtttest.Runner
}

// twoSites are the sites of docs/guides/disaster-recovery.md. Both have the bridge of the page, which runs
// in site a. Devices publish the messages of the stream a to plant-a, and the stream b to plant-b.
type twoSites struct {
	t                        *testing.T
	a, b                     *place
	published                map[string]*traffic.Publisher
	collectorsA, collectorsB *traffic.Collector
}

// pageManifest returns the bridge of the page.
func pageManifest(t *testing.T) *v1alpha1.MQTTBridge {
	t.Helper()
	page, err := os.ReadFile("../../docs/guides/disaster-recovery.md")
	must(t, err)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page has no manifest")
	}
	b := &v1alpha1.MQTTBridge{}
	must(t, yaml.UnmarshalStrict(block[1], b))
	b.Spec.Suspend = nil
	b.Spec.Local.ProtocolVersion, b.Spec.Remote.ProtocolVersion = &version, &version
	return b
}

func newTwoSites(t *testing.T, change func(*v1alpha1.MQTTBridge)) *twoSites {
	t.Helper()
	broker := func(name string) *mqtttest.Broker {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true, MaxInflight: localInflight})
	}
	w := &twoSites{
		t: t, published: map[string]*traffic.Publisher{},
		a: &place{plant: broker("plant-a"), cloud: broker("cloud-a")},
		b: &place{plant: broker("plant-b"), cloud: broker("cloud-b")},
	}
	for _, s := range []*place{w.a, w.b} {
		s.manifest = pageManifest(t)
		change(s.manifest)
		for _, side := range []struct {
			side *v1alpha1.Side
			a, b *mqtttest.Broker
		}{{&s.manifest.Spec.Local, w.a.plant, w.b.plant}, {&s.manifest.Spec.Remote, w.a.cloud, w.b.cloud}} {
			side.side.Primary.URL, side.side.Backups[0].URL = side.a.URL(), side.b.URL()
			f := side.side.Failover
			f.Retry = &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](100), MaxSeconds: ptr.To[int32](1)}
			f.Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1)}
		}
		s.runner = mqtttest.NewRunner(t, s.manifest)
	}
	w.collectorsA = mqtttest.StartCollector(t, "plant1/#", "a", w.a.cloud, w.b.cloud)
	w.collectorsB = mqtttest.StartCollector(t, "plant1/#", "b", w.a.cloud, w.b.cloud)
	w.a.runner.Start()
	w.waitServers(w.a.runner, "a")
	w.prepare()
	return w
}

// waitServers waits until a runner uses both servers of a site.
func (w *twoSites) waitServers(r *mqtttest.Runner, site string) {
	w.t.Helper()
	r.WaitStatus(drainTimeout, "the servers of site "+site+" are in use", func(s v1alpha1.MQTTBridgeStatus) error {
		for want, side := range map[string]*v1alpha1.SideStatus{"plant-" + site: s.Local, "cloud-" + site: s.Remote} {
			if side == nil || side.Active == nil || side.Active.Name != want {
				return fmt.Errorf("%s is not in use: %+v", want, side)
			}
		}
		return nil
	})
}

// prefer requests the servers of a site.
func (w *twoSites) prefer(s *place, name string) {
	w.t.Helper()
	spec := &s.manifest.Spec
	spec.Local.PreferredServer = &v1alpha1.PreferredServer{Name: "plant-" + name}
	spec.Remote.PreferredServer = &v1alpha1.PreferredServer{Name: "cloud-" + name}
	s.runner.Update(s.manifest)
	w.waitServers(s.runner, name)
}

// prepare makes the bridge of site a subscribe at the servers of site b.
func (w *twoSites) prepare() {
	w.t.Helper()
	w.prefer(w.a, "b")
	w.prefer(w.a, "a")
	spec := &w.a.manifest.Spec
	spec.Local.PreferredServer, spec.Remote.PreferredServer = nil, nil
	w.a.runner.Update(w.a.manifest)
	for _, broker := range []*mqtttest.Broker{w.a.plant, w.a.cloud} {
		broker.Save() // a killed Mosquitto would lose the sessions
	}
}

// publish starts to publish count messages at the server of a site; 0: until the stream is stopped.
func (w *twoSites) publish(s *place, stream string, count uint64) *traffic.Publisher {
	w.t.Helper()
	p := mqtttest.StartPublisher(w.t, s.plant, traffic.PublisherConfig{Topic: "sensors/x", Stream: stream, QoS: 1, Rate: 500, Size: 128, Count: count})
	w.published[stream] = p
	return p
}

// lose kills all processes of a site.
func (s *place) lose() {
	s.runner.Kill()
	s.plant.Kill()
	s.cloud.Kill()
}

// returnToA brings the servers of site a back, hands over to its runner, and checks that it forwards.
func (w *twoSites) returnToA() {
	w.t.Helper()
	for _, broker := range []*mqtttest.Broker{w.a.plant, w.a.cloud} {
		broker.Start()
	}
	w.prefer(w.b, "a")
	if code, _ := w.b.runner.Terminate(); code != 0 {
		w.t.Fatalf("the runner of site b ends with code %d", code)
	}
	w.a.runner.Start()
	w.waitServers(w.a.runner, "a")
	after := mqtttest.StartCollector(w.t, "plant1/#", "after", w.a.cloud)
	w.publish(w.a, "after", 50)
	must(w.t, w.published["after"].WaitDone(drainTimeout))
	must(w.t, after.WaitAll(w.published["after"].Ledger(), drainTimeout))
}

// Site a is lost under load. Messages that devices publish at site b before a person acts are forwarded, and
// only the newest messages of site a are missing.
func TestTwoSites_SiteLostUnderLoad_OnlyItsNewestMessagesAreMissing(t *testing.T) {
	t.Parallel()
	w := newTwoSites(t, func(*v1alpha1.MQTTBridge) {})
	devices := w.publish(w.a, "a", 0)
	must(t, w.collectorsA.WaitCount(500, drainTimeout))
	w.a.lose()
	devices.Close()
	moved := w.publish(w.b, "b", 300)
	must(t, moved.WaitDone(drainTimeout)) // no bridge runs

	w.b.runner.Start()
	w.waitServers(w.b.runner, "b")
	must(t, w.collectorsB.WaitAll(moved.Ledger(), drainTimeout))
	w.returnToA()

	judge(t, moved, w.collectorsB, nil)
	arrivals := w.collectorsA.Arrivals()
	newest := slices.MaxFunc(arrivals, func(x, y traffic.Arrival) int { return int(x.Seq) - int(y.Seq) }).Seq
	r := traffic.Compare(devices.Ledger(), arrivals)
	t.Log(r)
	for _, lost := range r.Lost {
		if lost < newest {
			t.Errorf("message %d is lost, although message %d has arrived", lost, newest)
		}
	}
	if len(r.Lost) > localInflight {
		t.Errorf("%d messages are lost, want at most %d, the messages in flight", len(r.Lost), localInflight)
	}
}

// All remote servers fail, and then site a is lost with a backlog.
func TestTwoSites_SiteLostWithBacklog_ReturnsOrIsLostWithItsDisk(t *testing.T) {
	t.Parallel()
	const backlogged = 300
	for name, tc := range map[string]struct {
		disk, diskLost bool
	}{
		"on the source server":                {},
		"on the runner's disk":                {disk: true},
		"on the runner's disk, which is lost": {disk: true, diskLost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTwoSites(t, func(b *v1alpha1.MQTTBridge) {
				if tc.disk {
					onDisk(b, "1Gi", v1alpha1.WhenFullBlock)
				}
			})
			for _, broker := range []*mqtttest.Broker{w.a.cloud, w.b.cloud} {
				broker.Stop()
			}
			devices := w.publish(w.a, "a", backlogged)
			must(t, devices.WaitDone(drainTimeout))
			if tc.disk {
				waitBacklog(t, w.a.runner, backlogged)
			}
			w.a.plant.Save()
			w.a.runner.Kill()
			w.a.plant.Kill()

			moved := w.publish(w.b, "b", backlogged)
			must(t, moved.WaitDone(drainTimeout))
			w.b.cloud.Start()
			w.b.runner.Start()
			w.waitServers(w.b.runner, "b")
			must(t, w.collectorsB.WaitAll(moved.Ledger(), drainTimeout))
			if n := w.collectorsA.Count(); n > 0 {
				t.Errorf("%d messages of site a have arrived without site a", n)
			}
			if tc.diskLost {
				must(t, os.RemoveAll(w.a.runner.DataDir()))
			}
			w.returnToA()

			judge(t, moved, w.collectorsB, nil)
			if !tc.diskLost {
				judge(t, devices, w.collectorsA, w.collectorsA.WaitAll(devices.Ledger(), drainTimeout))
				return
			}
			// The source server may not have processed the latest acknowledgements when it was killed.
			if r := traffic.Compare(devices.Ledger(), w.collectorsA.Arrivals()); len(r.Lost) == 0 {
				t.Errorf("no message of the lost disk is lost: %s", r)
			}
		})
	}
}

// A bridge in each site, with its own local server, and both publish to the same remote servers.
func TestTwoSites_BridgeInEachSite_OtherSiteContinues(t *testing.T) {
	t.Parallel()
	w := newTwoSites(t, func(*v1alpha1.MQTTBridge) {})
	w.b.manifest.Name = "plant-to-cloud-b"
	spec := &w.b.manifest.Spec
	spec.Local.ClientID, spec.Remote.ClientID = "", ""
	spec.Local.Primary.URL, spec.Local.Backups = w.b.plant.URL(), nil
	spec.Local.Primary.Name = "plant-b"
	w.b.runner = mqtttest.StartRunner(t, w.b.manifest)
	w.b.runner.WaitActive("cloud-a", eventTimeout)

	here, there := mqtttest.StartClient5(t, w.a.plant, "here"), mqtttest.StartClient5(t, w.b.plant, "there")
	for _, c := range []*mqtttest.Client5{here, there} {
		c.Subscribe("commands/#")
	}
	command := func(cloud *mqtttest.Broker) {
		mqtttest.StartClient5(t, cloud, "commander").Publish(&paho.Publish{Topic: "commands/plant1/valve/set", QoS: 1, Payload: []byte("x")})
	}
	command(w.a.cloud)
	here.Wait("commands/valve/set", 1, eventTimeout)
	there.Wait("commands/valve/set", 1, eventTimeout)

	own := w.publish(w.b, "b", 0)
	must(t, w.collectorsB.WaitCount(200, drainTimeout))
	w.a.runner.Kill()
	w.a.plant.Kill()
	w.a.cloud.Stop() // it saves the messages that its clients have not received
	w.b.runner.WaitActive("cloud-b", eventTimeout)
	must(t, w.collectorsB.WaitCount(w.collectorsB.Count()+500, drainTimeout))
	command(w.b.cloud)
	there.Wait("commands/valve/set", 2, eventTimeout)
	must(t, own.StopAndDrain(drainTimeout))
	w.a.cloud.Start()
	judge(t, own, w.collectorsB, w.collectorsB.WaitAll(own.Ledger(), drainTimeout))
	time.Sleep(500 * time.Millisecond) // for a second copy, which must not arrive
	if n := len(there.Received("commands/valve/set")); n != 2 {
		t.Errorf("site b has received %d commands, want 2", n)
	}
}
