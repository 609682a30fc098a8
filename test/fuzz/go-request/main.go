// Reads certificate requests as the API server and cert-manager do, with crypto/x509, one a line in base64, and prints what it sees.
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

type attribute struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type extension struct {
	ID       string `json:"id"`
	Critical bool   `json:"critical"`
}

type answer struct {
	Error      string        `json:"error,omitempty"`
	Subject    [][]attribute `json:"subject"`
	DNS        []string      `json:"dns"`
	IP         []string      `json:"ip"`
	URI        []string      `json:"uri"`
	Email      []string      `json:"email"`
	Extensions []extension   `json:"extensions"`
	Bits       []int         `json:"bits"`
	Purposes   []string      `json:"purposes"`
	IsCA       bool          `json:"isCA"`
	Key        string        `json:"key"`
	KeyHash    string        `json:"keyHash"`
}

type basicConstraints struct {
	IsCA       bool `asn1:"optional"`
	MaxPathLen int  `asn1:"optional,default:-1"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		a, err := readLine(lines.Text())
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := encoder.Encode(a); err != nil {
			os.Exit(1)
		}
	}
	if lines.Err() != nil {
		fmt.Fprintln(os.Stderr, lines.Err())
		os.Exit(1)
	}
}

func readLine(line string) (answer, error) {
	data, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return answer{}, err
	}
	if bytes.HasPrefix(data, []byte{0x30}) {
		return read(data)
	}
	// As k8s.io/kubernetes/pkg/apis/certificates ParseCSR, and nothing may stand behind the block.
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(block.Headers) > 0 {
		return answer{}, errors.New("no PEM block of a certificate request")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return answer{}, errors.New("something stands behind the PEM block")
	}
	return read(block.Bytes)
}

func read(der []byte) (answer, error) {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return answer{}, err
	}
	if err := request.CheckSignature(); err != nil {
		return answer{}, err
	}
	if !bytes.Equal(request.Raw, der) || request.Version != 0 {
		return answer{}, errors.New("not all of it is the request")
	}
	a := answer{
		DNS: request.DNSNames, Email: request.EmailAddresses, KeyHash: hash(request.RawSubjectPublicKeyInfo),
		IP: []string{}, URI: []string{}, Extensions: []extension{}, Bits: []int{}, Purposes: []string{},
	}
	for _, ip := range request.IPAddresses {
		a.IP = append(a.IP, hex.EncodeToString(ip))
	}
	for _, uri := range request.URIs {
		a.URI = append(a.URI, uri.String())
	}
	if a.Key, err = keyOf(request.PublicKey); err != nil {
		return answer{}, err
	}
	if a.Subject, err = subject(request.RawSubject); err != nil {
		return answer{}, err
	}
	for _, one := range request.Extensions {
		if err := a.add(one); err != nil {
			return answer{}, err
		}
	}
	return a, nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func keyOf(key any) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen()), nil
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Params().Name, nil
	case ed25519.PublicKey:
		return "Ed25519", nil
	}
	return "", errors.New("an unknown kind of key")
}

func subject(raw []byte) ([][]attribute, error) {
	var levels pkix.RDNSequence
	rest, err := asn1.Unmarshal(raw, &levels)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("no subject: %w", err)
	}
	all := [][]attribute{}
	for _, level := range levels {
		attributes := []attribute{}
		for _, one := range level {
			text, isText := one.Value.(string)
			if !isText {
				return nil, errors.New("a value of the subject is no text")
			}
			attributes = append(attributes, attribute{one.Type.String(), text})
		}
		all = append(all, attributes)
	}
	return all, nil
}

func (a *answer) add(one pkix.Extension) error {
	a.Extensions = append(a.Extensions, extension{one.Id.String(), one.Critical})
	whole := func(value any) error {
		rest, err := asn1.Unmarshal(one.Value, value)
		if err == nil && len(rest) > 0 {
			err = errors.New("something stands behind the value of an extension")
		}
		return err
	}
	switch one.Id.String() {
	case "2.5.29.15":
		var bits asn1.BitString
		if err := whole(&bits); err != nil {
			return err
		}
		for bit := range bits.BitLength {
			if bits.At(bit) == 1 {
				a.Bits = append(a.Bits, bit)
			}
		}
	case "2.5.29.37":
		var purposes []asn1.ObjectIdentifier
		if err := whole(&purposes); err != nil {
			return err
		}
		for _, purpose := range purposes {
			a.Purposes = append(a.Purposes, purpose.String())
		}
	case "2.5.29.19":
		var constraints basicConstraints
		if err := whole(&constraints); err != nil {
			return err
		}
		a.IsCA = constraints.IsCA
	}
	return nil
}
