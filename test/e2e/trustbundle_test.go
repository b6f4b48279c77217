// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// secureConfig adds a TLS listener to a broker. The other listener is for the test's own clients.
const secureConfig = cluster.BrokerConfig + `listener 8883
certfile /etc/mosquitto/tls.crt
keyfile /etc/mosquitto/tls.key
`

// securePrimary replaces the primary by a broker that the bridge reaches by TLS only.
func (w *world) securePrimary(pki *mqtttest.PKI) {
	w.t.Helper()
	const name = "secure"
	host := name + "." + w.namespace + ".svc"
	pair := pki.ServerNamed(host)
	w.primary = w.broker(name, secureConfig, map[string]string{"tls.crt": string(pair.Cert), "tls.key": string(pair.Key)})
	w.kubectl("patch", "service", name, "--type=json", "-p", `[{"op":"add","path":"/spec/ports/-","value":{"name":"mqtts","port":8883}}]`)
	must(w.t, w.primary.WaitReady(w.t.Context(), eventTimeout))
	w.bridge.Spec.Remote = v1alpha1.Side{Primary: v1alpha1.Server{Name: name, URL: "mqtts://" + host + ":8883"}}
}

// trustBundle creates a ClusterTrustBundle for the duration of the test.
func (w *world) trustBundle(name, signer string, labels map[string]string, ca []byte) {
	w.t.Helper()
	bundles := shared.Client.CertificatesV1().ClusterTrustBundles()
	_, err := bundles.Create(w.t.Context(), &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: string(ca)},
	}, metav1.CreateOptions{})
	must(w.t, err)
	w.t.Cleanup(func() { _ = bundles.Delete(context.Background(), name, metav1.DeleteOptions{}) })
}

// ClusterTrustBundles belong to no namespace, so their names contain the world's namespace.
func TestTrustBundle_CreatedLater_IsUsedWithoutANewPod(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(w *world) (v1alpha1.ClusterTrustBundleSource, func(ca []byte)){
		"by name": func(w *world) (v1alpha1.ClusterTrustBundleSource, func(ca []byte)) {
			bundle := w.namespace + "-ca"
			return v1alpha1.ClusterTrustBundleSource{Name: bundle}, func(ca []byte) { w.trustBundle(bundle, "", nil, ca) }
		},
		// The other bundle of the signer is not selected, and its authority has not signed the
		// broker's certificate.
		"by signer and labels": func(w *world) (v1alpha1.ClusterTrustBundleSource, func(ca []byte)) {
			signer, labels := "example.com/"+w.namespace, map[string]string{"plant": "one"}
			prefix := strings.ReplaceAll(signer, "/", ":") + ":"
			w.trustBundle(prefix+"other", signer, map[string]string{"plant": "two"}, mqtttest.NewPKI(w.t).CA)
			return v1alpha1.ClusterTrustBundleSource{SignerName: signer, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}},
				func(ca []byte) { w.trustBundle(prefix+"own", signer, labels, ca) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pki := mqtttest.NewPKI(t)
			w.securePrimary(pki)
			source, create := prepare(w)
			w.bridge.Spec.Remote.TLS = &v1alpha1.TLS{CA: &v1alpha1.CASource{ClusterTrustBundle: &source}}
			w.apply()
			w.condition(v1alpha1.ConditionRemoteConnected, metav1.ConditionFalse, v1alpha1.ReasonReferenceMissing,
				fmt.Sprintf("%q", source.Name+source.SignerName))
			pod := w.pod()
			create(pki.CA)
			w.kubectl("wait", "--for=condition=Ready", "mqttbridge/"+bridgeName, "--timeout="+secretTimeout.String())
			if now := w.pod(); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
				t.Errorf("pod %s was replaced or restarted, want the running pod to use the ClusterTrustBundle", pod.Name)
			}
			w.stream()
			w.finish()
		})
	}
}
