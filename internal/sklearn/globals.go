package sklearn

// globals is the names that supported models need besides those that package pickle
// allows: the names that scikit-learn 1.2 to 1.9 looks up when it loads its models.
var globals = makeGlobals()

func makeGlobals() map[string]bool {
	names := map[string]bool{}
	add := func(module string, list ...string) {
		for _, name := range list {
			names[module+"."+name] = true
		}
	}
	add("sklearn.tree._tree", "Tree")
	add("sklearn.tree._classes", "DecisionTreeRegressor", "ExtraTreeRegressor")
	add("sklearn.ensemble._forest", "RandomForestRegressor", "ExtraTreesRegressor")
	add("sklearn.ensemble._gb", "GradientBoostingRegressor")
	add("sklearn.ensemble._gb_losses", "LeastSquaresError", "LeastAbsoluteError", "HuberLossFunction", "QuantileLossFunction")
	add("sklearn.ensemble._hist_gradient_boosting.gradient_boosting", "HistGradientBoostingRegressor")
	add("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper")
	add("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor")
	add("sklearn.dummy", "DummyRegressor")

	add("sklearn.linear_model._base", "LinearRegression")
	add("sklearn.linear_model._ridge", "Ridge")
	add("sklearn.linear_model._coordinate_descent", "Lasso", "ElasticNet")

	add("sklearn.pipeline", "Pipeline")
	add("sklearn.compose._column_transformer", "ColumnTransformer", "_RemainderColsList")
	add("sklearn.compose._target", "TransformedTargetRegressor")
	add("sklearn.preprocessing._data", "StandardScaler", "MinMaxScaler")
	add("sklearn.preprocessing._encoders", "OrdinalEncoder")
	add("sklearn.preprocessing._function_transformer", "FunctionTransformer")
	add("sklearn.impute._base", "SimpleImputer", "MissingIndicator")
	add("sklearn.utils.validation", "check_array")
	add("functools", "partial")
	add("numpy", "float64", "float32", "int64", "int32")

	add("sklearn._loss.link", "IdentityLink", "LogLink", "Interval")
	for _, loss := range []string{
		"HalfSquaredError", "AbsoluteError", "PinballLoss", "HuberLoss", "HalfPoissonLoss", "HalfGammaLoss",
	} {
		add("sklearn._loss.loss", loss)
		// The Cython class of the loss. scikit-learn 1.6 writes it without a package.
		for _, module := range []string{"sklearn._loss._loss", "_loss"} {
			add(module, "Cy"+loss, "__pyx_unpickle_Cy"+loss)
		}
	}
	for name := range functions {
		names[name] = true
	}
	return names
}

// functions is the functions of numpy that a transformer may apply. They are in module
// numpy in numpy 2, and in the module of their implementation in numpy 1.
var functions = makeFunctions()

func makeFunctions() map[string]opKind {
	kinds := map[string]opKind{}
	for name, kind := range map[string]opKind{
		"log1p": opLog1p, "expm1": opExpm1, "log": opLog, "exp": opExp, "sqrt": opSqrt, "square": opSquare,
	} {
		kinds["numpy."+name] = kind
		kinds["numpy._core._multiarray_umath."+name] = kind
	}
	return kinds
}
