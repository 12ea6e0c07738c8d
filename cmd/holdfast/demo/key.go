package demo

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	//lint:ignore SA1019 restic's key files are sealed with it
	"golang.org/x/crypto/poly1305"
	"golang.org/x/crypto/scrypt"
)

// quickKey puts a key that opens at once in place of the one restic made.
//
// restic stretches passwords: opening a repository takes up to half a second of
// CPU by design, and the demo opens some four times a second. Its passwords are
// 130 random bits, to which stretching adds nothing. The format is that of
// restic's design document, "Keys, Encryption and MAC".
func (r *repository) quickKey(ctx context.Context) error {
	master, err := r.call(ctx, "cat", "masterkey", "--no-lock")
	if err != nil {
		return err
	}
	password, err := os.ReadFile(r.password)
	if err != nil {
		return err
	}
	const n, blocks, parallel = 16, 1, 1
	salt := make([]byte, 64)
	_, _ = rand.Read(salt) // never fails
	user, err := scrypt.Key([]byte(strings.TrimSpace(string(password))), salt, n, blocks, parallel, 64)
	if err != nil {
		return err
	}
	sealed, err := seal(user, master)
	if err != nil {
		return err
	}
	key, err := json.Marshal(map[string]any{
		"created": time.Now(), "username": "demo", "hostname": "demo", "kdf": "scrypt", "N": n, "r": blocks, "p": parallel,
		"salt": salt, "data": sealed,
	})
	if err != nil {
		return err
	}
	keys := filepath.Join(r.dir, "keys")
	old, err := os.ReadDir(keys)
	if err != nil {
		return err
	}
	if len(old) != 1 {
		return fmt.Errorf("%d keys in a new repository, want one", len(old))
	}
	name := fmt.Sprintf("%x", sha256.Sum256(key))
	return errors.Join(os.WriteFile(filepath.Join(keys, name), key, 0o600), os.Remove(filepath.Join(keys, old[0].Name())))
}

// seal encrypts as restic does: IV, AES-256-CTR, Poly1305-AES. The key is 64 bytes.
func seal(key, plain []byte) ([]byte, error) {
	iv := make([]byte, aes.BlockSize)
	_, _ = rand.Read(iv)
	content, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, err
	}
	nonce, err := aes.NewCipher(key[32:48])
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, len(plain))
	cipher.NewCTR(content, iv).XORKeyStream(sealed, plain)
	var once [32]byte
	copy(once[:16], key[48:])
	nonce.Encrypt(once[16:], iv)
	var tag [16]byte
	poly1305.Sum(&tag, sealed, &once)
	return append(append(iv, sealed...), tag[:]...), nil
}
