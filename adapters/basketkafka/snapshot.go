package basketkafka

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/basket-go/basket"
)

// A Snapshot is what the features of a run depend on besides the orders. It is
// immutable, and safe for concurrent use.
type Snapshot struct {
	meaning   basket.Meaning
	meanPrice float64
	name      string

	// The regulars of users[i] are variants[starts[i]:starts[i+1]].
	index    map[string]uint32
	users    []string
	starts   []uint32
	variants []int64
}

// NewSnapshot reads regulars and inventory, as [basket.NewMaterializer] does; repeated
// regulars count once. It holds 8 bytes for each regular, and the user IDs, which
// histories share.
func NewSnapshot(regulars iter.Seq2[basket.Regular, error], inventory iter.Seq2[basket.Item, error], meaning basket.Meaning) (*Snapshot, error) {
	if meaning != basket.LastOrder && meaning != basket.NextOrder {
		return nil, fmt.Errorf("basketkafka: %w: %v: want LastOrder or NextOrder", basket.ErrInvalidConfig, meaning)
	}
	s := &Snapshot{meaning: meaning, index: map[string]uint32{}}
	var err error
	if s.meanPrice, err = basket.MeanItemPrice(inventory); err != nil {
		return nil, err
	}
	type pair struct {
		user    uint32
		variant int64
	}
	var pairs []pair
	for r, err := range regulars {
		if err != nil {
			return nil, err
		}
		if r.VariantID == basket.NoVariant {
			return nil, fmt.Errorf("basketkafka: %w: regulars: user %.64q has the variant ID %d, which stands for an unknown variant", basket.ErrData, r.UserID, basket.NoVariant)
		}
		user, known := s.index[r.UserID]
		if !known {
			user = uint32(len(s.users))
			s.users = append(s.users, strings.Clone(r.UserID))
			s.index[s.users[user]] = user
		}
		if pairs = append(pairs, pair{user, r.VariantID}); len(pairs) == math.MaxInt32 {
			return nil, fmt.Errorf("basketkafka: %w: more than %d regulars", basket.ErrData, math.MaxInt32)
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.variant, b.variant))
	})
	pairs = slices.Compact(pairs)
	s.starts = make([]uint32, len(s.users)+1)
	s.variants = make([]int64, len(pairs))
	for i, p := range pairs {
		s.variants[i] = p.variant
		s.starts[p.user+1] = uint32(i + 1)
	}
	s.name = s.digest()
	return s, nil
}

// Name returns the name of the snapshot's run: 12 hexadecimal digits of a digest of
// all that it depends on. Equal regulars, in any order, and the same mean item price
// and meaning have the same name.
func (s *Snapshot) Name() string { return s.name }

func (s *Snapshot) digest() string {
	hash := sha256.New()
	word := func(v uint64) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		hash.Write(b[:])
	}
	word(uint64(s.meaning))
	word(math.Float64bits(s.meanPrice))
	for _, userID := range slices.Sorted(slices.Values(s.users)) {
		_, variants := s.user(userID)
		word(uint64(len(userID)))
		hash.Write([]byte(userID))
		word(uint64(len(variants)))
		for _, v := range variants {
			word(uint64(v))
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:6])
}

// user returns the user's ID, in the snapshot's own memory if it is there, and the
// user's regulars.
func (s *Snapshot) user(userID string) (string, []int64) {
	i, ok := s.index[userID]
	if !ok {
		return userID, nil
	}
	return s.users[i], s.variants[s.starts[i]:s.starts[i+1]]
}
