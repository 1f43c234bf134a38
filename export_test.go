package basket

// NewMaterializerOfShards is NewMaterializer with another number of shards, on
// which no row may depend.
var NewMaterializerOfShards = newMaterializer
