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
)

// handshakes returns the runner's count of handshakes of a kind with a server.
func handshakes(r *mqtttest.Runner, server, kind string) int {
	return int(r.Metrics().Sum("mqttbridge_tls_handshakes_total", "side=remote", "server="+server, "kind="+kind))
}

// secureLine returns a line whose remote brokers use TLS and require client certificates. The
// bridge reaches them through proxies that can cut connections.
func secureLine(t *testing.T, pki *mqtttest.PKI, probeSeconds int32) (l *line, primary, backup *mqtttest.Proxy) {
	t.Helper()
	l = &line{t: t, local: mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true, MaxInflight: localInflight})}
	start := func(name string) (*mqtttest.Broker, *mqtttest.Proxy) {
		b := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name, Persistence: true, TLS: pki.Server(), ClientCA: pki.CA})
		return b, mqtttest.StartProxy(t, b.Address(), 0)
	}
	l.primary, primary = start("primary")
	l.backup, backup = start("backup-1")
	by := func(p *mqtttest.Proxy) string {
		return strings.Replace(p.URL(), "mqtt://127.0.0.1", "mqtts://localhost", 1)
	}
	l.manifest = retry(manifest("resumption", l.local.URL(), by(primary), by(backup)), 100, 1)
	withoutProbes(l.manifest)
	if probeSeconds > 0 {
		failover(l.manifest).Probe = &v1alpha1.Probe{IntervalSeconds: ptr.To(probeSeconds)}
	}
	l.manifest.Spec.Remote.TLS = mqtttest.ShowCertificate(mqtttest.TrustConfigMap("ca"), "client-cert")
	l.collector = mqtttest.StartCollector(t, "up/#", "up", l.primary, l.backup)
	l.prepare(pki)
	l.showCertificate(pki.Client("bridge"))
	return l, primary, backup
}

// showCertificate sets the runner's client certificate.
func (l *line) showCertificate(pair *mqtttest.KeyPair) {
	l.t.Helper()
	l.runner.SetFile("client-cert", "tls.crt", string(pair.Cert))
	l.runner.SetFile("client-cert", "tls.key", string(pair.Key))
}

func TestTLSResumption_SwitchAndReturn_ResumesSessions(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	l, toPrimary, toBackup := secureLine(t, pki, 0)
	l.runner.Start()
	l.runner.WaitActive("primary", eventTimeout)
	l.stream(1, 500)
	full, resumed := map[string]int{}, map[string]int{}
	// switchTo cuts the connection, and counts the handshakes with the new server after the switch.
	switchTo := func(server string, cut *mqtttest.Proxy, kind string) {
		t.Helper()
		cut.Cut()
		l.runner.WaitActive(server, eventTimeout)
		l.flow(100)
		before := [2]int{full[server], resumed[server]}
		full[server], resumed[server] = handshakes(l.runner, server, "full"), handshakes(l.runner, server, "resumed")
		now := [2]int{full[server] - before[0], resumed[server] - before[1]}
		if kind == "full" && now[0] != 1 || kind == "resumed" && (now[0] != 0 || now[1] == 0) {
			t.Errorf("the switch to %s made %d full and %d resumed handshakes, want a %s one", server, now[0], now[1], kind)
		}
	}
	full["primary"] = handshakes(l.runner, "primary", "full")
	if full["primary"] != 1 {
		t.Errorf("%d full handshakes at the start", full["primary"])
	}
	switchTo("backup-1", toPrimary, "full")
	switchTo("primary", toBackup, "resumed")
	switchTo("backup-1", toPrimary, "resumed")

	l.primary.Restart() // the broker creates a new key for tickets
	switchTo("primary", toBackup, "full")

	l.showCertificate(pki.Client("renewed"))
	switchTo("backup-1", toPrimary, "full")
	switchTo("primary", toBackup, "full")
	switchTo("backup-1", toPrimary, "resumed")
	l.finish()

	m := l.runner.Metrics()
	for _, kind := range []string{"full", "resumed"} {
		count := m.Sum("mqttbridge_tls_handshakes_total", "kind="+kind)
		if timed := m.Sum("mqttbridge_tls_handshake_duration_seconds_count", "side=remote", "kind="+kind); timed != count {
			t.Errorf("the duration was recorded for %v %s handshakes, want %v", timed, kind, count)
		}
		t.Logf("%s handshakes: %v, %.1f ms each", kind, count, 1000*m.Sum("mqttbridge_tls_handshake_duration_seconds_sum", "kind="+kind)/count)
	}
	if failed := m.Sum("mqttbridge_connection_failures_total", "side=remote", "reason="+v1alpha1.ReasonTLSFailed); failed > 0 {
		t.Errorf("%v attempts failed with TLSFailed", failed)
	}
}

func TestTLSResumption_SwitchToProbedServer_ResumesSessionOfProbe(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	l, toPrimary, _ := secureLine(t, pki, 1)
	l.runner.Start()
	l.runner.WaitActive("primary", eventTimeout)
	l.stream(1, 500)
	mqtttest.Eventually(t, eventTimeout, "probes resume their own session", func() error {
		if full, resumed := handshakes(l.runner, "backup-1", "full"), handshakes(l.runner, "backup-1", "resumed"); full != 1 || resumed == 0 {
			return fmt.Errorf("%d full and %d resumed handshakes", full, resumed)
		}
		return nil
	})
	toPrimary.Cut()
	l.runner.WaitActive("backup-1", eventTimeout)
	l.flow(100)
	if full := handshakes(l.runner, "backup-1", "full"); full != 1 {
		t.Errorf("%d full handshakes with the backup, want the first probe's only", full)
	}
	l.finish()
}
