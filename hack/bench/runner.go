// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const authority = "authority" // name of the Secret with the brokers' certificate

// startRunner starts a bridge-runner with its default settings, except for the window and the
// settings of the case.
func startRunner(r route, dir, program string, env []string) (*process, error) {
	side := func(address string) v1alpha1.Side {
		s := v1alpha1.Side{
			Primary:         v1alpha1.Server{URL: "mqtt://" + address},
			ProtocolVersion: ptr.To(v1alpha1.ProtocolVersion(r.Protocol)),
		}
		if r.tls != nil {
			s.Primary.URL = "mqtts://" + address
			s.TLS = &v1alpha1.TLS{CA: &v1alpha1.CASource{SecretKeyRef: &v1alpha1.KeyReference{Name: authority}}}
		}
		return s
	}
	bridge := v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: "bench", Namespace: "bench"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         side(r.local),
			Remote:        side(r.remote),
			LocalToRemote: []v1alpha1.Rule{{Filter: topicPrefix + "#", QoS: ptr.To(int32(r.QoS))}},
			Delivery:      &v1alpha1.Delivery{InflightWindow: ptr.To(int32(r.window()))},
			Runner:        &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelWarn},
		},
	}
	manifest, err := yaml.Marshal(bridge)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "bridge.yaml")
	if err := os.WriteFile(file, manifest, 0o600); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	secrets := filepath.Join(dir, "secrets")
	if r.tls != nil {
		cert, err := os.ReadFile(r.tls.cert)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Join(secrets, authority), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(secrets, authority, "ca.crt"), cert, 0o600); err != nil {
			return nil, err
		}
	}
	return start("bridge-runner", program, env, "--bridge", file, "--secrets", secrets, "--listen", loopback(port))
}

// keyPair holds the paths of a certificate and its key, in PEM format.
type keyPair struct{ cert, key string }

// newKeyPair creates a self-signed certificate for localhost.
func newKeyPair(dir string) (*keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	k := &keyPair{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	if err := os.WriteFile(k.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return nil, err
	}
	return k, os.WriteFile(k.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
