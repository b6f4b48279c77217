// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// waitReconnected waits until a side has reconnected because of changed credentials.
func waitReconnected(t *testing.T, r *mqtttest.Runner, side string) {
	t.Helper()
	mqtttest.Eventually(t, eventTimeout, "the "+side+" side reconnects", func() error {
		for line := range strings.Lines(r.Log()) {
			if strings.Contains(line, "msg=reconnected") && strings.Contains(line, "side="+side) && strings.Contains(line, "credentials") {
				return nil
			}
		}
		return fmt.Errorf("the log:\n%s", r.Log())
	})
}

// unharmed ends a stream that continued during a reconnection: each message has arrived once, and no
// connection was lost.
func unharmed(t *testing.T, r *mqtttest.Runner, p *traffic.Publisher, c *traffic.Collector) {
	t.Helper()
	must(t, p.StopAndDrain(drainTimeout))
	onceEach(t, judge(t, p, c, c.WaitAll(p.Ledger(), drainTimeout)))
	if log := r.Log(); strings.Contains(log, "connection lost") {
		t.Errorf("a connection was lost:\n%s", log)
	}
}

func TestReconnect_LoginOfSourceRotated_NoMessageLostOrRepeated(t *testing.T) {
	t.Parallel()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Users: map[string]string{"old": "first", "new": "second"}})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	b := manifest("reconnect", local.URL(), remote.URL())
	b.Spec.Local.Credentials, b.Spec.Local.Reconnect = mqtttest.Login("login"), ptr.To(v1alpha1.ReconnectOnChange)
	r := mqtttest.NewRunner(t, b)
	r.SetFile("login", "username", "old")
	r.SetFile("login", "password", "first")
	r.Start()
	r.WaitActive("primary", eventTimeout)
	c := mqtttest.StartCollector(t, "up/#", "up", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 2, Rate: 300})
	must(t, c.WaitCount(100, eventTimeout))
	r.SetFile("login", "username", "new") // for a moment, the login is wrong
	r.SetFile("login", "password", "second")
	waitReconnected(t, r, "local")
	must(t, c.WaitCount(c.Count()+100, eventTimeout))
	unharmed(t, r, p, c)
	if strings.Contains(r.Log(), "second") {
		t.Error("the log contains the password")
	}
}

func TestReconnect_ClientCertificateRotated_WaitsForItsKey(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.Server(), ClientCA: pki.CA})
	b := manifest("reconnect", local.URL(), remote.URL())
	b.Spec.Remote.TLS = mqtttest.ShowCertificate(mqtttest.TrustConfigMap("ca"), "client")
	b.Spec.Remote.Reconnect = ptr.To(v1alpha1.ReconnectOnChange)
	r := mqtttest.NewRunner(t, b)
	first, second := pki.Client("first"), pki.Client("second")
	r.SetFile(mqtttest.ConfigMap("ca"), "ca.crt", string(pki.CA))
	r.SetFile("client", "tls.crt", string(first.Cert))
	r.SetFile("client", "tls.key", string(first.Key))
	r.Start()
	r.WaitActive("primary", eventTimeout)
	c := mqtttest.StartCollector(t, "up/#", "up", remote)
	p := mqtttest.StartPublisher(t, local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 2, Rate: 300})
	must(t, c.WaitCount(100, eventTimeout))

	r.SetFile("client", "tls.crt", string(second.Cert))
	waitShortfalls(r, "the certificate without its key is reported", v1alpha1.ReasonCredentialsUnusable)
	r.SetFile("client", "tls.key", string(second.Key))
	waitReconnected(t, r, "remote")
	waitShortfalls(r, "the report is removed")
	must(t, c.WaitCount(c.Count()+100, eventTimeout))
	unharmed(t, r, p, c)
}

// waitShortfalls waits until the remote side has shortfalls with exactly these reasons.
func waitShortfalls(r *mqtttest.Runner, what string, reasons ...string) {
	r.WaitStatus(eventTimeout, what, func(s v1alpha1.MQTTBridgeStatus) error {
		var got []string
		for _, shortfall := range s.Remote.Shortfalls {
			got = append(got, shortfall.Reason)
		}
		if fmt.Sprint(got) != fmt.Sprint(reasons) {
			return fmt.Errorf("the shortfalls are %+v", s.Remote.Shortfalls)
		}
		return nil
	})
}
