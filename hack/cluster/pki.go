package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLifetime is longer than the life of any cluster: each "up" creates new certificates.
const certificateLifetime = 365 * 24 * time.Hour

func caCertPath() string { return certPath("ca") }

func certPath(name string) string      { return filepath.Join(pkiDir, name+".crt") }
func keyPath(name string) string       { return filepath.Join(pkiDir, name+".key") }
func publicKeyPath(name string) string { return filepath.Join(pkiDir, name+".pub") }

// writePKI creates the cluster's certificate authority, the certificates of the servers and of the
// API server as a client of the kubelet, and the key that signs service account tokens.
func writePKI() error {
	ca, err := newAuthority()
	if err != nil {
		return fmt.Errorf("make the certificate authority: %w", err)
	}
	certificates := map[string]x509.Certificate{
		"kube-apiserver": {
			Subject:     pkix.Name{CommonName: "kube-apiserver"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			DNSNames: []string{
				"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc." + clusterDomain,
			},
			IPAddresses: []net.IP{net.ParseIP(nodeAddress), net.ParseIP(apiServiceAddress)},
		},
		"kubelet": {
			Subject:     pkix.Name{CommonName: nodeName},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			DNSNames:    []string{nodeName},
			IPAddresses: []net.IP{net.ParseIP(nodeAddress)},
		},
		"kubelet-client": {
			Subject:     pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		},
	}
	for name, template := range certificates {
		if err := ca.issue(name, template); err != nil {
			return fmt.Errorf("make the certificate %s: %w", name, err)
		}
	}
	return writeServiceAccountKeys()
}

// writeServiceAccountKeys creates the key pair that signs and verifies the tokens of service
// accounts.
func writeServiceAccountKeys() error {
	key, err := newKey("service-account")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(publicKeyPath("service-account"), "PUBLIC KEY", der)
}

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority() (*authority, error) {
	key, err := newKey("ca")
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: contextName},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := writeCertificate("ca", &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

func (a *authority) issue(name string, template x509.Certificate) error {
	key, err := newKey(name)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	_, err = writeCertificate(name, &template, a.certificate, key.Public(), a.key)
	return err
}

func newKey(name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(keyPath(name), "PRIVATE KEY", der)
}

func writeCertificate(name string, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	// One hour in the past, because the clock may be set back slightly while the cluster runs.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(certificateLifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	if err := writePEM(certPath(name), "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
