// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const (
	clientID  = "bridge"    // client identifier of the bridge, on the side that loses its server
	authority = "authority" // the ConfigMap with the authority's certificate
)

// side is a side of a bridge.
type side string

const (
	local  side = "local"
	remote side = "remote"
)

// world is a bridge with one side that loses its server: that side has a primary behind a proxy,
// and a backup; the other side has a server that stays.
type world struct {
	testing.TB
	*bench
	side      side
	direction direction
	version   v1alpha1.ProtocolVersion
	settings  settings
	// stable enables probes, and failback to a server that was stable for this number of seconds.
	// With 0, the bridge does not probe servers and does not fail back.
	stable int32

	// options are the options of the primary. The default is MQTT over TCP.
	options mqtttest.BrokerOptions

	pki                    *mqtttest.PKI
	primary, backup, other *mqtttest.Broker
	link                   *link  // to the primary
	sieve                  *sieve // in front of link, or nil
	servers                []v1alpha1.Server
	runner                 *mqtttest.Runner
	streams                []*stream
}

// broker starts a broker that keeps its state when it is stopped.
func (w *world) broker(o mqtttest.BrokerOptions) *mqtttest.Broker {
	w.Helper()
	o.Persistence = true
	return mqtttest.StartBroker(w, o)
}

// build starts the servers. Attempts at the servers before the backup fail.
func (w *world) build(sieved bool, between ...func(*world) v1alpha1.Server) {
	w.Helper()
	if w.pki == nil {
		w.pki = mqtttest.NewPKI(w)
	}
	w.other = w.broker(mqtttest.BrokerOptions{Name: "other"})
	w.options.Name = "primary"
	w.primary = w.broker(w.options)
	w.link = w.proxy.link(w, w.primary.Address())
	scheme, _, _ := strings.Cut(w.primary.URL(), ":")
	first := v1alpha1.Server{URL: fmt.Sprintf("%s://localhost:%d", scheme, w.link.port)}
	if w.options.TLS != nil {
		first = secured(first.URL)
	}
	if sieved {
		w.sieve = startSieve(w, w.link.address())
		first.URL = w.sieve.URL()
	}
	w.servers = []v1alpha1.Server{first}
	for _, server := range between {
		w.servers = append(w.servers, server(w))
	}
	w.backup = w.broker(mqtttest.BrokerOptions{Name: fmt.Sprintf("backup-%d", len(w.servers))})
	w.servers = append(w.servers, v1alpha1.Server{URL: w.backup.URL()})
}

// prepare creates the runner.
func (w *world) prepare() {
	w.Helper()
	w.runner = mqtttest.NewRunner(w, w.manifest())
	w.runner.SetFile(mqtttest.ConfigMap(authority), "ca.crt", string(w.pki.CA))
}

// connect starts the runner and waits until it is connected.
func (w *world) connect() {
	w.Helper()
	w.prepare()
	w.runner.Start()
	w.waitActive("primary", eventTimeout)
}

func (w *world) manifest() *v1alpha1.MQTTBridge {
	losing := v1alpha1.Side{Primary: w.servers[0], Backups: w.servers[1:], ClientID: clientID, ProtocolVersion: &w.version}
	probe, failback := &v1alpha1.Probe{Policy: ptr.To(v1alpha1.ProbeNever)}, &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
	if w.stable > 0 {
		probe = &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](1), TimeoutSeconds: ptr.To[int32](1)}
		failback = &v1alpha1.Failback{StableSeconds: &w.stable}
	}
	if w.settings != defaults {
		losing.KeepAliveSeconds = &w.settings.keepAlive
		losing.Failover = &v1alpha1.Failover{
			ConnectTimeoutSeconds: &w.settings.connectTimeout,
			PingTimeoutSeconds:    &w.settings.pingTimeout,
			AckTimeoutSeconds:     &w.settings.ackTimeout,
			Retry:                 &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](100), MaxSeconds: ptr.To[int32](1)},
			Probe:                 probe,
			Failback:              failback,
		}
	}
	staying := v1alpha1.Side{Primary: v1alpha1.Server{URL: w.other.URL()}, ProtocolVersion: &w.version}
	b := &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "outage", Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: staying, Remote: losing,
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#", QoS: ptr.To[int32](2)}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "down/#", QoS: ptr.To[int32](2)}},
		},
	}
	if w.side == local {
		b.Spec.Local, b.Spec.Remote = losing, staying
	}
	return b
}

// topics returns the first level of the messages' topics.
func (w *world) topics() string {
	if (w.side == remote) == (w.direction == toward) {
		return "up/"
	}
	return "down/"
}

// of returns the status of the side that loses its server.
func (w *world) of(s v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus {
	if w.side == local {
		return s.Local
	}
	return s.Remote
}

// waitActive waits until both sides are connected, and the losing side is connected to the given
// server.
func (w *world) waitActive(name string, timeout time.Duration) *v1alpha1.SideStatus {
	w.Helper()
	return w.of(w.runner.WaitStatus(timeout, "connected to "+name, func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Local == nil || s.Local.Active == nil || s.Remote == nil || s.Remote.Active == nil {
			return fmt.Errorf("one side or both are not connected: %+v", s.Conditions)
		}
		if active := w.of(s).Active.Name; active != name {
			return fmt.Errorf("connected to %s", active)
		}
		return nil
	}))
}

// stream starts streams with the given QoS and waits until they flow.
func (w *world) stream(size int, qos ...byte) {
	w.Helper()
	for _, q := range qos {
		w.streams = append(w.streams, w.newStream(q, size))
	}
	for _, s := range w.streams {
		must(w, s.parts[0].collector.WaitCount(flowing, eventTimeout))
	}
}
