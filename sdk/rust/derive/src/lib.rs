//! `#[derive(Inputs)]`: a struct whose fields are the columns of the same names.
#![warn(missing_docs)]

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, ext::IdentExt as _};

/// Implements `ripen_plugin::Inputs`: each field is read from the input of its name, by its type's `Value`. The
/// columns are looked up once a batch.
#[proc_macro_derive(Inputs)]
pub fn derive_inputs(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = syn::parse_macro_input!(item as DeriveInput);
    expand(&item).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &item.data else {
        return Err(syn::Error::new_spanned(&item.ident, "Inputs needs a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(&item.ident, "Inputs needs named fields: each is the name of an input"));
    };
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&item.generics, "Inputs takes no generics"));
    }
    let (mut idents, mut columns, mut names, mut types) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        columns.push(format_ident!("column_{}", ident.unraw()));
        names.push(ident.unraw().to_string());
        types.push(&field.ty);
        idents.push(ident);
    }
    let name = &item.ident;
    Ok(quote! {
        impl ::ripen_plugin::Inputs for #name {
            fn rows(
                frame: &::ripen_plugin::Frame,
            ) -> ::core::result::Result<impl ::core::iter::Iterator<Item = Self>, ::std::string::String> {
                #(let mut #columns = frame.column::<#types>(#names)?;)*
                ::core::result::Result::Ok((0..frame.rows).map_while(move |_| {
                    ::core::option::Option::Some(Self { #(#idents: #columns.next()?,)* })
                }))
            }
        }
    })
}
