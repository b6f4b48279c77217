// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestMetrics_RunningBridge_ShowExpiryCapacityAndBuild(t *testing.T) {
	t.Parallel()
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.LongLived(), ClientCA: pki.CA})
	b := manifest("metrics", local.URL(), remote.URL())
	b.Spec.Remote.TLS = mqtttest.ShowCertificate(mqtttest.TrustSecret("ca"), "client")
	b.Spec.Buffer = &v1alpha1.Buffer{Memory: &v1alpha1.MemoryBuffer{Size: ptr.To(resource.MustParse("1Mi"))}}
	client := pki.Client("bridge")
	r := mqtttest.NewRunner(t, b)
	r.SetFile("ca", "ca.crt", string(pki.CA))
	r.SetFile("client", "tls.crt", string(client.Cert))
	r.SetFile("client", "tls.key", string(client.Key))
	r.Start()
	r.WaitActive("primary", eventTimeout)

	m := r.Metrics()
	for kind, valid := range map[string]time.Duration{"server": 4 * 24 * time.Hour, "ca": 7 * 24 * time.Hour, "client": time.Hour} {
		at := m.Sum("mqttbridge_certificate_expiry_timestamp_seconds", "side=remote", "kind="+kind)
		if left := time.Until(time.Unix(int64(at), 0)); left > valid || left < valid-10*time.Minute {
			t.Errorf("the certificate of the kind %s expires in %s; want %s", kind, left, valid)
		}
	}
	if got := m.Sum("mqttbridge_certificate_expiry_timestamp_seconds", "side=local"); got != 0 {
		t.Errorf("a side without TLS has a certificate that expires at %v", got)
	}
	if got := m.Sum("mqttbridge_buffer_capacity_bytes", "direction=localToRemote", "medium=memory"); got != 1<<20 {
		t.Errorf("the capacity in memory is %v bytes; want 1Mi", got)
	}
	if got := m.Sum("mqttbridge_build_info"); got != 1 {
		t.Errorf("mqttbridge_build_info is %v", got)
	}
}
